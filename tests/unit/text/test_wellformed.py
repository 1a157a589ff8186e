"""Text that is no text: found, refused, replaced."""

import pytest
from pydantic import BaseModel, ValidationError

from kuaimei.text.wellformed import WellFormedText, is_well_formed, require_well_formed, to_well_formed


@pytest.mark.parametrize("text", ["", "你好", "a\tb\nc", "\u202e\ufffe\uffff", "👩\u200d👧", "\x01\x1f\x7f"])
def test_what_can_be_encoded_is_left_alone(text: str) -> None:
    assert is_well_formed(text)
    assert to_well_formed(text) == text
    assert require_well_formed(text) == text


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("a\x00b", "ab"),
        ("\x00", ""),
        ("\ud800", "\ufffd"),
        ("前\udc00後", "前\ufffd後"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("a\x00\ud83d\x00\ude00", "a\ufffd\ufffd"),
    ],
)
def test_what_cannot_is_replaced(text: str, mended: str) -> None:
    assert not is_well_formed(text)
    assert to_well_formed(text) == mended
    mended.encode()


def test_the_rest_of_a_text_with_a_broken_character_stays() -> None:
    assert to_well_formed("今天😀天氣\ud800很好") == "今天😀天氣\ufffd很好"


class _Given(BaseModel):
    text: WellFormedText


@pytest.mark.parametrize(
    ("text", "told"), [("a\x00b", "NUL character at position 1"), ("\udfff", "a lone surrogate")]
)
def test_a_model_refuses_it_and_says_where(text: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        _Given(text=text)
    assert _Given(text="好").text == "好"
