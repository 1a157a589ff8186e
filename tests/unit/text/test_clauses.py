import random

import pytest

from kuaimei.text.clauses import FIRST, ClauseSegmenter, speech_length, split_clauses


def stream(text: str, sizes: list[int] | int = 1) -> list[str]:
    """The clauses of ``text`` pushed in tokens of these sizes."""
    cutter, clauses, at = ClauseSegmenter(), [], 0
    steps = [sizes] * len(text) if isinstance(sizes, int) else sizes
    for size in steps:
        clauses += cutter.push(text[at : at + size])
        at += size
    clauses += cutter.push(text[at:])
    return clauses + cutter.flush()


PIECES = [
    *(
        "好的，",
        "沒問題！",
        "我來幫您查詢一下",
        "明天臺北的天氣預報",
        "他說：「你好嗎？我很好。」",
        "人工智慧是一種技術",
    ),
    *("，", "。", "！", "？", "……", "、", "：", "—", "~", "-", ".", ",", "@", "'", '"', "\n", " ", "🎉"),
    *("「", "」", "『", "』", "（", "）", "“", "”"),
    *("價格是3.5元", "約1,000人", "時間10:30", "1/2", "NT$1,200", "25°C", "50%", "Python 3.11"),
    *(
        "https://example.com/a?b=1",
        "a.b@c.com",
        "A.I.",
        "e.g. this",
        "Dr. Wang ",
        "it's fine. ",
        "Hello there, ",
    ),
]


@pytest.mark.parametrize("seed", range(10))
def test_clauses_joined_are_the_text_however_it_is_split(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(120):
        text = "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 25)))
        sizes = [rng.randint(1, 9) for _ in range(len(text))]
        clauses = stream(text, sizes)
        assert "".join(clauses) == text
        assert "".join(split_clauses(text)) == text
        assert all(clauses)
        assert all(speech_length(clause) for clause in clauses[:-1])


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "好的，我來幫您查詢一下明天臺北的天氣預報，請稍等一下。",
            ["好的，我來", "幫您查詢一下明天臺北的天氣預報，", "請稍等一下。"],
        ),
        (
            "沒問題，我可以幫你規劃三天兩夜的花蓮旅遊行程。第一天先去太魯閣國家公園，欣賞峽谷的壯麗景色。",
            [
                "沒問題，",
                "我可以幫你規劃三天兩夜的花蓮旅遊行程。",
                "第一天先去太魯閣國家公園，",
                "欣賞峽谷的壯麗景色。",
            ],
        ),
        ("是的。沒錯！我也這麼想。你覺得呢？", ["是的。沒錯！", "我也這麼想。", "你覺得呢？"]),
        (
            "他說：「你好嗎？我很好。真的！」然後就走了。",
            ["他說：「你好嗎？我很好。真的！」", "然後就走了。"],
        ),
        ("價格是3.5元，約1,000人，時間是10:30。", ["價格是3.5元，", "約1,000人，時間是10:30。"]),
        (
            "請看這裡https://example.com/a?b=1。或者寄信到a.b@c.com。",
            ["請看這裡", "https://example.com/a?b=1。", "或者寄信到a.b@c.com。"],
        ),
        ("當然可以！！真的嗎？！我不知道……", ["當然可以！！", "真的嗎？！我不知道……"]),
        (
            "I'm happy to help you with that today. First, we should look at the weather, e.g. rain.",
            [
                "I'm happy to help you ",
                "with that today. ",
                "First, we should look at the weather, ",
                "e.g. rain.",
            ],
        ),
        ("A.I. 很有用。Dr. Wang 說 it's fine.", ["A.I. 很有用。", "Dr. Wang 說 it's fine."]),
        ("", []),
        ("好。", ["好。"]),
    ],
)
def test_where_it_cuts(text: str, expected: list[str], size: int) -> None:
    assert stream(text, size) == expected


def test_the_first_clause_does_not_wait_for_more_than_it_needs() -> None:
    cutter = ClauseSegmenter()
    assert cutter.push("今天的天氣很好，") == ["今天的天氣很好，"]


def test_several_sentences_in_one_token_all_come_out() -> None:
    clauses = ClauseSegmenter().push("第一句話說完了。第二句話也說完了！第三句話也是？第四句")
    assert clauses == ["第一句話說完了。", "第二句話也說完了！", "第三句話也是？"]


def test_without_punctuation_words_stay_whole() -> None:
    text = "人工智慧是一種模擬人類智慧的技術它可以用來做很多事情例如辨識影像翻譯語言以及自動駕駛"
    clauses = stream(text)
    words = [
        "人工智慧",
        "模擬",
        "人類",
        "技術",
        "很多",
        "事情",
        "例如",
        "辨識",
        "影像",
        "翻譯",
        "語言",
        "自動",
        "駕駛",
    ]
    assert all(any(word in clause for clause in clauses) for word in words)
    assert speech_length(clauses[0]) <= FIRST.word_max
    assert all(9 <= speech_length(clause) <= 17 for clause in clauses[1:-1])


@pytest.mark.parametrize(
    "unit",
    [
        "3.5",
        "1,000",
        "10:30",
        "https://example.com/a,b",
        "me@example.com",
        "A.I.",
        "e.g.",
        "GPT-4o",
        "C++",
        "25°C",
        "50%",
        "don't",
        "NT$1,200",
    ],
)
def test_units_are_never_cut_inside(unit: str) -> None:
    for before in ("", "大約是", "我們上次說的那個東西就是"):
        clauses = stream(f"{before}{unit} 這樣而已沒有別的了我們先這樣說。")
        assert any(unit in clause for clause in clauses), clauses


def test_an_absurdly_long_quotation_is_cut_and_its_end_stays_with_it() -> None:
    text = "「" + "這裡面有很多很多的字而且還有很多句子，" * 4 + "終於說完了。」"
    clauses = stream(text)
    assert len(clauses) > 2
    assert clauses[-1].endswith("。」")
    assert len(clauses[-1]) > 2


def test_a_complete_text_has_no_short_leftover() -> None:
    assert split_clauses("第一句話說完了。好。") == ["第一句話說完了。好。"]


def test_a_reply_of_punctuation_only_is_one_silent_clause() -> None:
    assert stream("……！") == ["……！"]
    assert speech_length("……！") == 0


def test_what_never_ends_is_cut_all_the_same() -> None:
    for text in ("x" * 3000, "(" * 3000, "「" + "字" * 3000):
        clauses = stream(text, 7)
        assert "".join(clauses) == text
        assert max(map(len, clauses)) < 500
