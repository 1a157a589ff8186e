import json
from importlib.resources import files

import pytest

from kuaimei.text.syllables import count_syllables, word_syllables

_VOWELS = frozenset("AIOQWYaiuæɑɒɔəɛɜɪʊʌᵊᵻɐ")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("今天天氣很好。", 6),
        ("对，这就是我，万人敬仰的太乙真人。", 14),
        ("3.5 公里", 5),  # 三點五公里
        ("2025年3月5日", 9),  # 二零二五年三月五日
        ("NT$1,200", 8),  # 新臺幣一千兩百元
        ("50%", 5),  # 百分之五十
        ("我用 AI 寫程式", 7),
        ("I have 123 apples.", 11),  # one hundred and twenty three
        ("Some call me nature, others call me mother nature.", 13),
        ("WWW", 9),
        ("", 0),
        ("，。！ …", 0),
        ("😀", 0),
    ],
)
def test_a_text_has_as_many_as_are_said(text: str, count: int) -> None:
    assert count_syllables(text) == count


def test_numbers_are_read_in_the_language_asked_for() -> None:
    assert count_syllables("25", "zh") == 3  # 二十五
    assert count_syllables("25", "en") == 3  # twenty five
    assert count_syllables("77", "zh") == 3
    assert count_syllables("77", "en") == 5
    assert count_syllables("77", "fr") == count_syllables("77")


def test_mixed_text_adds_up() -> None:
    assert count_syllables("這個 project 很 interesting") == 2 + 2 + 1 + 3


@pytest.mark.parametrize(
    ("word", "count"),
    [("time", 1), ("little", 2), ("apples", 2), ("settled", 2), ("boxes", 2), ("wanted", 2), ("played", 1),
     ("eyes", 1), ("hundred", 2), ("nicely", 2), ("something", 2), ("area", 3), ("quiet", 2), ("science", 2),
     ("nation", 2), ("usual", 3), ("flying", 2), ("going", 2), ("create", 2), ("didn't", 2), ("we're", 1),
     ("rhythm", 2), ("league", 1), ("argue", 2), ("the", 1), ("w", 3), ("safety", 2)],
)  # fmt: skip
def test_words_of_every_kind(word: str, count: int) -> None:
    assert word_syllables(word) == count


def test_nine_of_ten_words_of_a_dictionary_and_all_of_them_together() -> None:
    gold = json.loads((files("misaki") / "data" / "us_gold.json").read_text(encoding="utf-8"))
    right = said = counted = words = 0
    for word, sounds in gold.items():
        if not (isinstance(sounds, str) and word.isascii() and word.isalpha() and word.islower()):
            continue
        true, ours = sum(sound in _VOWELS for sound in sounds), word_syllables(word)
        right, said, counted, words = right + (true == ours), said + true, counted + ours, words + 1
    assert words > 50_000
    assert right / words > 0.9
    assert abs(counted / said - 1) < 0.02


def test_a_long_text_takes_no_longer_than_it_is_long() -> None:
    assert count_syllables("今天天氣很好，" * 2000) == 12_000
