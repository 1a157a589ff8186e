import pytest

from kuaimei.engines.types import Language
from kuaimei.voices.training.prompts import EVAL_PROMPTS, TRAINING_PROMPTS, clauses


@pytest.mark.parametrize("language", ["zh", "en"])
def test_clauses_are_all_that_is_said_in_pieces(language: Language) -> None:
    lines = TRAINING_PROMPTS[language]
    found = clauses(lines)
    assert "".join(found).replace(" ", "") == "".join(lines).replace(" ", "")
    assert len(found) > len(lines)
    assert all(clause == clause.strip() and clause[-1] in "，。？！,.?!" for clause in found)


def test_marks_stay_with_what_they_close() -> None:
    assert clauses(["真的嗎？太好了，恭喜兩位！"]) == ["真的嗎？", "太好了，", "恭喜兩位！"]
    assert clauses(["No way?! We stay at home."]) == ["No way?!", "We stay at home."]


def test_nothing_is_judged_that_was_practised() -> None:
    for language in TRAINING_PROMPTS:
        assert not set(TRAINING_PROMPTS[language]) & set(EVAL_PROMPTS[language])
