import pytest

from kuaimei.dialogue.backchannel import is_backchannel


@pytest.mark.parametrize(
    "text",
    [
        "", "。", "…", "嗯", "嗯。", "嗯嗯", "嗯，對。", "對對對", "對啊對啊", "好，好的。", "是喔", "了解。",
        "原來如此！", "喔～", "Uh-huh.", "uh huh", "Mm-hmm", "Yeah, okay.", "OK", "ok ok", "I see.", "嗯 ok",
    ],
)  # fmt: skip
def test_backchannels(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    [
        "停", "等一下", "不對", "不是", "好了不用了", "對不起", "是誰", "那明天呢", "好，謝謝你", "嗯我想問",
        "stop", "okay stop", "yesterday", "oh no", "rights", "真的嗎為什麼", "對對對對對對對對對對對對對",
    ],
)  # fmt: skip
def test_what_wants_an_answer(text: str) -> None:
    assert not is_backchannel(text)
