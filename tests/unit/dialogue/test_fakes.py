from kuaimei.engines.types import LLMReq, Message, STTReq, TTSReq
from tests.support.fakes import (
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    LetterSignal,
    noise,
    said,
    silence,
)
from tests.support.virtual_time import virtually


def test_letters_read_what_was_said() -> None:
    import numpy as np

    pcm = np.concatenate((silence(70), said("你好好嗎hello"), noise(100), silence(500), said("好")))
    assert LetterSignal().hear(pcm) == "你好好嗎hello好"


def test_letters_read_in_any_portions() -> None:
    letters = LetterSignal()
    pcm = said("今天天氣")
    heard = [letters.hear(pcm[i : i + 512]) for i in range(0, len(pcm), 512)]
    assert heard[-1] == "今天天氣"
    assert all("今天天氣".startswith(text) for text in heard)


@virtually
async def test_the_recognizer_understands() -> None:
    chunk = await FakeRecognizer().transcribe(said("你好"), STTReq())
    assert (chunk.text, chunk.is_final, chunk.end_ms) == ("你好", True, 320.0)


@virtually
async def test_the_model_goes_on_from_a_prefix() -> None:
    model = FakeLanguageModel("一二三四五")
    req = LLMReq(messages=(Message(role="user", content="數"),), prefix="一二三")
    assert [token async for token in model.stream(req)] == ["四五"]
    assert model.opened == model.closed == 1


@virtually
async def test_speech_lasts_as_long_as_its_text() -> None:
    voice = FakeSynthesizer(pieces=3)
    pieces = [pcm async for pcm in voice.stream(TTSReq(text="一二三四五"))]
    assert len(pieces) == 3
    assert sum(map(len, pieces)) == voice.sample_rate
