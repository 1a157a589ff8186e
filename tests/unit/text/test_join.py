import pytest

from kuaimei.text.join import join_pieces


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["今天，", "天氣很好。"], "今天，天氣很好。"),
        (["Hello there.", "How are you?"], "Hello there. How are you?"),
        (["我用", "Python"], "我用Python"),
        (["OK", "好"], "OK好"),
        (["", "好", ""], "好"),
        ([], ""),
    ],
)
def test_pieces_become_one_text(texts: list[str], joined: str) -> None:
    assert join_pieces(texts) == joined


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["今天", "", " 很好 "], "今天很好"),
        (["I said", "hello"], "I said hello"),
        (["我用", "Python", "寫"], "我用Python寫"),
        (["他說：「好」", "OK"], "他說：「好」OK"),
        (["abc", "，好"], "abc，好"),
        (["un café", "est là"], "un café est là"),
        ([], ""),
        (["", " "], ""),
    ],
)
def test_a_space_only_where_neither_side_is_chinese(texts: list[str], joined: str) -> None:
    assert join_pieces(texts) == joined


def test_more_pieces_only_add_to_what_is_there() -> None:
    texts = ["今天", "is", "a good", "日子。", "Yes", "100%", "對"]
    for end in range(len(texts)):
        assert join_pieces(texts[: end + 1]).startswith(join_pieces(texts[:end]))
