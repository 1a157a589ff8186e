import pytest

from kuaimei.voices.enrolment.transcript_check import match_transcript


def test_script_and_marks_make_no_difference() -> None:
    found = match_transcript("对，这就是我！", "對這就是我", "zh")
    assert (found.check.verdict, found.check.value, found.text) == ("ok", 0.0, "对，这就是我！")


def test_the_part_that_is_said_is_found_in_a_longer_text() -> None:
    given = "大家好，我是小明。今天我們要去動物園看獅子，還有大象。晚上再一起吃飯。"
    found = match_transcript(given, "今天我們要去動物園看師子還有大象", "zh")
    assert found.text == "今天我們要去動物園看獅子，還有大象。"
    assert found.check.value == pytest.approx(100 / 16, abs=0.1)


@pytest.mark.parametrize(
    ("given", "heard", "language", "verdict"),
    [
        ("今天天氣很好", "今天天氣很好", "zh", "ok"),
        ("今天天器好好啊", "今天天氣很好啊", "zh", "warning"),
        ("完全不一樣的一段話", "今天天氣很好", "zh", "refused"),
        ("今", "今天天氣很好我們去散步", "zh", "refused"),
        ("！？", "今天天氣很好", "zh", "refused"),
        ("Some call me nature.", "some call me nature", "en", "ok"),
        ("Something else was written here", "some call me nature", "en", "refused"),
    ],
)
def test_verdicts(given: str, heard: str, language: str, verdict: str) -> None:
    assert match_transcript(given, heard, language).check.verdict == verdict  # type: ignore[arg-type]


def test_where_nothing_was_heard_nothing_contradicts() -> None:
    assert match_transcript("今天天氣很好", "", "zh").check.verdict == "ok"


def test_a_long_text_takes_no_time() -> None:
    found = match_transcript("今天天氣很好，" * 400 + "我們去看電影。", "我們去看電影", "zh")
    assert found.text == "我們去看電影。"
