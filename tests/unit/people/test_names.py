"""Names of people."""

import pytest

from kuaimei.people.names import NameRefused, check_name


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Anna", "Anna"),
        ("  陳 怡君\t", "陳 怡君"),
        ("e\u0301", "é"),
        ("a" * 80, "a" * 80),
        ("a@b.example", "a@b.example"),
    ],
)
def test_names(given: str, name: str) -> None:
    assert check_name(given) == name


@pytest.mark.parametrize(
    "given",
    ["", "   ", "a" * 81, "a\x00b", "\ud800", "a\u200bb", "\u202eevil", "a\x1b[31m", "person_01j9", "key_1"],
)
def test_what_is_none(given: str) -> None:
    with pytest.raises(NameRefused):
        check_name(given)
