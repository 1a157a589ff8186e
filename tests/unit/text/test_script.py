import random

import opencc
import pytest

from kuaimei.text.opencc_phrases import phrasebook
from kuaimei.text.script import TraditionalStream, to_simplified, to_traditional


def through_stream(text: str, sizes: list[int]) -> str:
    stream, at, out = TraditionalStream(), 0, ""
    for size in sizes:
        out += stream.push(text[at : at + size])
        at += size
    return out + stream.push(text[at:]) + stream.flush()


def splits(rng: random.Random, length: int) -> list[int]:
    sizes: list[int] = []
    while sum(sizes) < length:
        sizes.append(rng.randint(1, 4))
    return sizes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("软件和硬盘", "軟體和硬碟"),
        ("头发里发现了面条", "頭髮裡發現了麵條"),
        ("鼠标、内存和数据库", "滑鼠、記憶體和資料庫"),
        ("The weather is 25°C.", "The weather is 25°C."),
        ("", ""),
    ],
)
def test_simplified_becomes_taiwan_traditional(text: str, expected: str) -> None:
    assert to_traditional(text) == expected


def test_to_simplified_keeps_words() -> None:
    assert to_simplified("軟體裡的資訊，後來著手") == "软体里的资讯，后来着手"


def test_a_phrase_across_two_tokens_is_still_a_phrase() -> None:
    stream = TraditionalStream()
    shown = [stream.push("我的头"), stream.push("发很长"), stream.flush()]
    assert "".join(shown) == "我的頭髮很長"


def test_what_cannot_change_is_shown_at_once() -> None:
    stream = TraditionalStream()
    assert stream.push("我") == "我"
    assert stream.push("想") == "想"
    assert stream.push("他们好。") == "他們好。"
    assert stream.flush() == ""


@pytest.mark.parametrize("seed", range(8))
def test_any_split_equals_the_whole(seed: int) -> None:
    rng = random.Random(seed)
    book = phrasebook()
    phrases = sorted(book.phrases)
    taiwan = sorted(book.taiwan[0] | book.taiwan[1])
    others = ["，", "。", "SQL", "B", "U", "·", "abc 12", "我", "是", "的", "一個", "裡", "台", "\n"]
    for _ in range(150):
        parts = []
        for _ in range(rng.randint(1, 8)):
            phrase = rng.choice(phrases if rng.random() < 0.6 else taiwan)
            parts.append(rng.choice([phrase, phrase[: rng.randint(1, len(phrase))], rng.choice(others)]))
        text = "".join(parts)
        assert through_stream(text, splits(rng, len(text))) == to_traditional(text), text


def test_plain_simplified_is_exactly_opencc() -> None:
    text = (
        "今天台北的天气很好，适合出去走走，不过要记得带伞，因为下午可能会下雨。手机里的天气预报软件更新了。"
    )
    assert to_traditional(text) == opencc.OpenCC("s2twp").convert(text)


def test_words_that_are_traditional_already_are_not_spoiled() -> None:
    text = "皇后說，她後來在這裡吃了麵，一目瞭然：萬里長城沒有干擾。"
    text += "里長姓范，獲准游離，只有一隻貓隻身乾淨地待著。"
    assert to_traditional(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我支持你", "我支持你"),
        ("结婚对象", "結婚對象"),
        ("血液循环", "血液循環"),
        ("打开文件夹", "打開資料夾"),
        ("信号干扰", "訊號干擾"),
    ],
)
def test_everyday_words_are_no_terms_of_computing(text: str, expected: str) -> None:
    assert to_traditional(text) == expected
    stream = TraditionalStream()
    assert "".join(map(stream.push, text)) + stream.flush() == expected
