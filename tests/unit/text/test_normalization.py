import random
from pathlib import Path

import pytest

from kuaimei.text.normalization import normalize_text

GOLDEN = [
    (line.split("\t")[0], line.split("\t")[1])
    for line in Path(__file__).with_name("normalization_golden.tsv").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("# ")
]


@pytest.mark.parametrize(("text", "reading"), GOLDEN)
def test_golden(text: str, reading: str) -> None:
    assert normalize_text(text) == reading


def test_replies_of_any_length_are_read() -> None:
    text = "今天是11/24，氣溫25°C。" * 100
    assert normalize_text(text).replace(" ", "") == "今天是十一月二十四日，氣溫攝氏二十五度。" * 100


def test_the_language_of_numbers_can_be_said() -> None:
    assert normalize_text("iPhone 15", language="en") == "iPhone fifteen"
    assert normalize_text("It has 3", language="zh") == "It has 三"


@pytest.mark.parametrize("seed", range(5))
def test_nothing_makes_it_fail_and_no_digit_is_left(seed: int) -> None:
    rng = random.Random(seed)
    alphabet = (
        "0123456789.,:/-~%°$年月日點分第個元萬AxCkmG=+×*()（）「」，。 @#_|<>\\^²½①é한あ—…'\"\ud800\x00"
    )
    for _ in range(300):
        text = "".join(
            rng.choice(GOLDEN)[0] if rng.random() < 0.3 else rng.choice(alphabet)
            for _ in range(rng.randint(1, 15))
        )
        assert not any(digit in normalize_text(text) for digit in "0123456789"), text
