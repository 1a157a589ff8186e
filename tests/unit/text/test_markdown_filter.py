import random

import pytest

from kuaimei.text.markdown_filter import MarkdownFilter, strip_markdown

CASES = [
    ("**好的**，我来帮你！😀👍🏽", "好的，我來幫你！"),
    ("# 标题\n这是内容\n\n- 苹果\n- 香蕉\n* 橘子\n", "標題，這是內容。蘋果，香蕉，橘子"),
    ("步驟如下：\n1. 打开电源\n2. 按下按钮\n", "步驟如下：第一，打開電源。第二，按下按鈕"),
    ("```python\nprint(1)\n```\n以上是程序。", "以上是程式。"),
    ("这是`code`和*斜体*，3*4=12。", "這是code和斜體，3×4=12。"),
    ("[点这里](https://a.com) 看看 ![图](x.png)。", "點這裡看看。"),
    ("<think>嗯，他問好</think>你好<|im_end|>", "你好"),
    ("snake_case _強調_ __粗__", "snake_case 強調粗"),
    ("價格是NT$1,200，$5，$x$。", "價格是NT$1,200，$5，x。"),
    ("你好,我是快美.你呢?真的!", "你好，我是快美。你呢？真的！"),
    ("| 名稱 | 價格 |\n|---|---|\n| 蘋果 | 10 |\n", "名稱，價格。蘋果，10"),
    ("Hello **world**! How are\nyou? 3.5 is fine...", "Hello world! How are you? 3.5 is fine..."),
    ("First\n\nSecond", "First. Second"),
    ("---\n內容\n***\n", "內容"),
    (r"\(3 \times 4\) 是 \frac{1}{2}", "3 ×4 是 1/2"),
    ("好的~我知道了~~刪除~~", "好的~我知道了刪除"),
    ("2026年是馬年", "2026年是馬年"),
    ("3.5元\n1、2、3都可以", "3.5元，1、2、3都可以"),
    ("溫度 25°C → 30°C ✓", "溫度 25°C → 30°C"),
    ("1️⃣ 第一步\n2️⃣ 第二步", "第一，第一步。第二，第二步"),
    ("> 引用\n> - 內容", "引用，內容"),
    ("A < B，[1] 引用[2]，[注意]小心", "A < B，引用，[注意]小心"),
    ("-5度很冷", "-5度很冷"),
    ("寫信到<mailto:a@b.c>或<https://x.y>", "寫信到mailto:a@b.c或https://x.y"),
    ("他說:「好」.真的...", "他說：「好」。真的……"),
    ("好\n", "好"),
    ("", ""),
    ("😀🎉\n```\nx", ""),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_markup_is_neither_shown_nor_spoken(text: str, expected: str) -> None:
    assert strip_markdown(text) == expected


@pytest.mark.parametrize("seed", range(6))
def test_any_split_equals_the_whole(seed: int) -> None:
    rng = random.Random(seed)
    signs = [
        "*",
        "**",
        "_",
        "`",
        "```",
        "\n",
        "\n\n",
        "- ",
        "#",
        "# ",
        "1",
        ".",
        " ",
        "[",
        "](",
        ")",
        "<",
        ">",
        "|",
        "\\",
        "$",
    ]
    texts = [case for case, _ in CASES]
    for _ in range(120):
        text = "".join(
            rng.choice(rng.choice([texts, signs, ["头", "发", "a", "我"]])) for _ in range(rng.randint(1, 12))
        )
        stream, out, at = MarkdownFilter(), "", 0
        while at < len(text):
            size = rng.randint(1, 4)
            out += stream.push(text[at : at + size])
            at += size
        assert out + stream.flush() == strip_markdown(text), repr(text)


def test_plain_words_are_not_held_back() -> None:
    stream = MarkdownFilter()
    assert [stream.push(token) for token in ("好的", "，", "我们", "走吧", "。")] == [
        "好",
        "的，",
        "我們",
        "走吧",
        "。",
    ]


def test_going_on_from_a_prefix_keeps_its_space_and_is_no_new_line() -> None:
    assert MarkdownFilter(after="I'm happy to help you").push(" with - that ") == " with - that"
    assert MarkdownFilter(after="I'm happy to help you ").push(" with that ") == "with that"
    assert MarkdownFilter(after="好的，").push("- 我们走。") == "- 我們走。"
