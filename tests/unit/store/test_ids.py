import pytest

from kuaimei.errors import StoreError
from kuaimei.store.ids import new_id, validate_id


def test_ids_sort_in_the_order_they_were_made() -> None:
    ids = [new_id("utt") for _ in range(2000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 2000
    assert all(validate_id(one).startswith("utt_") and len(one) == 30 for one in ids)


@pytest.mark.parametrize("text", ["", "..", "a/b", "-x", "_x", "a b", "a\n", "語", "a" * 101, "a.b"])
def test_what_cannot_be_an_id(text: str) -> None:
    with pytest.raises(StoreError, match="is not a valid id"):
        validate_id(text)
