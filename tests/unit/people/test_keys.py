"""Keys: their form, and what of them is kept."""

import pytest

from kuaimei.people import caller
from kuaimei.people.keys import digest, is_key, new_key, prefix_of
from kuaimei.store import utterance_record


def test_a_key_has_160_random_bits() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(is_key(key) and len(key) == 35 and key.startswith("km_") for key in keys)
    used = {character for key in keys for character in key[3:]}
    assert used == set("0123456789abcdefghjkmnpqrstvwxyz")  # 5 bits each


@pytest.mark.parametrize("text", ["", "km_", "km_" + "u" * 32, "km_" + "0" * 31, "km_" + "0" * 33, "0" * 35])
def test_what_is_none(text: str) -> None:
    assert not is_key(text)


def test_a_key_that_is_read_aloud_or_typed_is_the_same() -> None:
    key = "km_0123456789abcdefghjkmnpqrstvwxyz"
    for typed in (key.upper(), f" {key}\n", key.replace("0", "O").replace("1", "l")):
        assert is_key(typed)
        assert digest(typed) == digest(key)
        assert prefix_of(typed) == "km_0123"


def test_other_text_keeps_its_case() -> None:
    assert digest("Another-Key-1234") != digest("another-key-1234")
    digest("\ud800")  # whatever a header may hold


def test_there_is_one_local_person() -> None:
    """Written down twice, because whoever asks for keys need not have a store."""
    assert caller.LOCAL == utterance_record.LOCAL
