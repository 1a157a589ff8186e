import pytest

from kuaimei.text.fillers import find_fillers


@pytest.mark.parametrize(
    ("text", "fillers"),
    [
        ("嗯，我想一下。", ("嗯",)),
        ("嗯嗯嗯我不知道", ("嗯嗯嗯",)),
        ("呃那個我想請問一下", ("呃", "那個")),
        ("那個，請問車站在哪裡？", ("那個",)),
        ("我想要，那個，一杯咖啡。", ("那個",)),
        ("那个，我不太清楚", ("那个",)),
        ("那個那個人是誰", ("那個",)),
        ("那個…我忘了", ("那個",)),
        ("那個我想問一下", ("那個",)),
        ("嗯 那個 我想", ("嗯", "那個")),
        ("就是說，我們要早一點出門。", ("就是說",)),
        ("我覺得就是說，不太好", ("就是說",)),
        ("就是就是很難說", ("就是",)),
        ("然後然後他就走了", ("然後",)),
        ("怎麼說呢，有點複雜", ("怎麼說呢",)),
        ("Uh, I think, um, maybe.", ("Uh", "um")),
        ("Er, hmm, let me see.", ("Er", "hmm")),
        ("You know, it's hard.", ("You know",)),
        ("It's, you know, hard.", ("you know",)),
        ("It's hard, you know.", ("you know",)),
        ("I mean, it was, like, huge.", ("I mean", "like")),
    ],
)
def test_fillers_are_found_in_their_order(text: str, fillers: tuple[str, ...]) -> None:
    assert find_fillers(text) == fillers


@pytest.mark.parametrize(
    "text",
    ["那個人是誰？", "那個地方很遠，", "那個時候我還小", "我要那個。", "我要那個，謝謝。", "那個。",
     "那個我喜歡的人", "那個我的書", "這個、那個都可以", "嗯。", "嗯嗯", "嗯哼，", "也就是說，他不來了。",
     "他就是說謊。", "就是說謊的人", "這就是說，不行", "你怎麼說？",
     "Do you know him?", "umbrella", "her number",
     "You know what I mean?", "You know the answer.", "I mean it.", "I like it, really.", "the ER is open",
     "uh-huh", "Uh-oh, no", "Hmm.", ""],
)  # fmt: skip
def test_the_same_words_that_mean_something_are_none(text: str) -> None:
    assert find_fillers(text) == ()
