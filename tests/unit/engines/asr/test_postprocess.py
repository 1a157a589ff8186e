import pytest

from kuaimei.engines.asr.postprocess import postprocess_transcript


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("在密碼學中,加密是將明文改變的方法.", "在密碼學中，加密是將明文改變的方法。"),
        ("你好吗?我很好!", "你好嗎？我很好！"),
        ("今天 天气 很 好", "今天天氣很好"),
        ("软件 在 鼠标 里", "軟體在滑鼠裡"),
        ("圓周率是3.14,對吧?", "圓周率是3.14，對吧？"),
        ("我用Python, 他用 C++.", "我用Python，他用 C++."),
        ("我用 Python.", "我用 Python。"),
        ("現在是3:30。", "現在是3:30。"),
        ("他说 OK, 然后走了", "他說 OK，然後走了"),
        ("  Some call me nature.  Others don't. ", "Some call me nature. Others don't."),
        ("1,000元", "1,000元"),
        ("我想找一個可以聊天的對象,好吗?", "我想找一個可以聊天的對象，好嗎？"),
        ("房間里面有皇后的頭髮", "房間裡面有皇后的頭髮"),
        ("三公里以後", "三公里以後"),
        ("", ""),
        (" 好 ", "好"),
    ],
)
def test_what_is_shown(raw: str, shown: str) -> None:
    assert postprocess_transcript(raw) == shown


def test_what_is_shown_stays_as_it_is() -> None:
    shown = postprocess_transcript("今天天气很好,我们去 Google 开会.")
    assert postprocess_transcript(shown) == shown
