import pytest

from kuaimei.engines.types import Language
from kuaimei.voices.lines import JUDGED, PRACTISED, clauses


@pytest.mark.parametrize(("language", "least", "most"), [("zh", 5, 17), ("en", 20, 60)])
def test_clauses_are_all_that_is_said_in_pieces_of_some_length(
    language: Language, least: int, most: int
) -> None:
    lines = PRACTISED[language]
    found = clauses(lines, language)
    assert "".join(found).replace(" ", "") == "".join(lines).replace(" ", "")
    assert len(found) > len(lines)
    assert all(least <= len(clause) <= most for clause in found)


def test_what_is_too_short_goes_with_its_neighbour() -> None:
    assert clauses(["真的嗎？太好了，恭喜兩位！", "春天的花很漂亮，去看看。"], "zh") == [
        "真的嗎？太好了，",
        "恭喜兩位！",
        "春天的花很漂亮，去看看。",
    ]
    assert clauses(["No way! We stay at home today. Why?"], "en") == ["No way! We stay at home today. Why?"]


def test_nothing_is_judged_that_was_practised() -> None:
    for language in PRACTISED:
        assert not set(PRACTISED[language]) & set(JUDGED[language])
