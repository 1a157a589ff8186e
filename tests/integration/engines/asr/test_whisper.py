"""Whisper with its real weights, hearing what the synthesiser says."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.asr import open_recognizer
from kuaimei.engines.asr.whisper import WhisperRecognizer
from kuaimei.engines.asr.whisper_decoder import WhisperDecoder, load_whisper
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Priority, STTReq, Ticket
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings
from kuaimei.text.script import to_simplified

pytestmark = pytest.mark.models

LIVE = Ticket(session="a", priority=Priority.LIVE)


def bare(text: str) -> str:
    """Script and punctuation aside."""
    return re.sub(r"[\W_]", "", to_simplified(text)).lower()


def errors(said: str, heard: str) -> int:
    """Edit distance in characters."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said):
        before, row[0] = row[0], i + 1
        for j, b in enumerate(heard):
            before, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, before + (a != b))
    return row[-1]


CHARACTER_ERRORS = {"whisper-small": 0.08, "whisper-base": 0.2}


@pytest.fixture(scope="module", params=CHARACTER_ERRORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def decoder(name: str) -> WhisperDecoder:
    settings = Settings()
    path = settings.weights_dir / name
    if name != settings.asr and not path.is_dir():
        pytest.skip(f"{name} is not installed; it is not the default")
    return load_whisper(path, 2)


@pytest.fixture
def recognizer(decoder: WhisperDecoder) -> WhisperRecognizer:
    return WhisperRecognizer(decoder, Scheduler("cores", 2))


async def test_it_opens_warm_and_lets_go_of_the_cores() -> None:
    settings = Settings()
    cores = Scheduler("cores", 2)
    source = EngineSource("asr", settings.asr, "whisper", settings.weights_dir / settings.asr)
    async with open_recognizer(EngineContext(settings, cores), source) as recognizer:
        chunk = await recognizer.transcribe(np.zeros(16_000, np.int16), STTReq(ticket=LIVE))
    assert chunk.text == ""
    assert cores.busy == 0


async def test_sentences_are_understood_in_traditional_script(
    name: str, recognizer: WhisperRecognizer, spoken: Callable[..., Pcm]
) -> None:
    sentences = [
        "今天天氣怎麼樣？",
        "請問附近有什麼好吃的餐廳嗎？",
        "我想找一個可以聊天的對象。",
        "明天下午三點半提醒我去開會。",
    ]
    wrong = total = 0
    for sentence in sentences:
        chunk = await recognizer.transcribe(spoken(sentence), STTReq(ticket=LIVE))
        assert chunk.language == "zh"
        assert chunk.confidence is not None
        assert chunk.confidence > 0.4
        said = bare(sentence.replace("三點", "3點"))
        wrong += min(errors(bare(sentence), bare(chunk.text)), errors(said, bare(chunk.text)))
        total += len(said)
        assert not re.search(r"[么样问饭对点会]", chunk.text)
    assert wrong / total <= CHARACTER_ERRORS[name]


@pytest.mark.parametrize("answer", ["不要", "謝謝", "你好"])
async def test_short_answers_are_heard(
    recognizer: WhisperRecognizer, spoken: Callable[..., Pcm], answer: str
) -> None:
    chunk = await recognizer.transcribe(spoken(answer), STTReq(ticket=LIVE))
    assert chunk.language == "zh"
    assert answer[-1] in chunk.text


async def test_english_is_chosen_and_written(
    recognizer: WhisperRecognizer, spoken: Callable[..., Pcm]
) -> None:
    pcm = spoken("Good morning, how are you today?", "af_heart")
    chunk = await recognizer.transcribe(pcm, STTReq(ticket=LIVE))
    assert chunk.language == "en"
    assert errors("goodmorninghowareyoutoday", bare(chunk.text)) <= 3


@pytest.mark.parametrize("sound", ["silence", "noise", "hum", "clicks"])
async def test_nothing_is_made_up_where_nothing_is_said(recognizer: WhisperRecognizer, sound: str) -> None:
    rng = np.random.default_rng(0)
    pcm = {
        "silence": np.zeros(32_000),
        "noise": rng.normal(0, 300, 32_000),
        "hum": 2000 * np.sin(2 * np.pi * 50 * np.arange(32_000) / 16_000),
        "clicks": np.where(rng.random(32_000) < 0.001, 20_000, 0),
    }[sound].astype(np.int16)
    assert (await recognizer.transcribe(pcm, STTReq(ticket=LIVE))).text == ""


async def test_a_recording_longer_than_the_window_is_heard_to_its_end(
    recognizer: WhisperRecognizer, spoken: Callable[..., Pcm]
) -> None:
    pause = np.zeros(8_000, np.int16)
    parts = ["今天天氣怎麼樣？", "請問附近有什麼好吃的餐廳嗎？", "我想找一個可以聊天的對象。"]
    pcm = np.concatenate([np.concatenate([spoken(part), pause]) for part in parts * 4])
    assert len(pcm) > 28 * 16_000
    chunk = await recognizer.transcribe(pcm, STTReq())
    said = bare("".join(parts * 4))
    assert errors(said, bare(chunk.text)) / len(said) <= 0.15
    assert chunk.end_ms == pytest.approx(len(pcm) / 16)


async def test_hot_words_change_the_spelling(
    recognizer: WhisperRecognizer, spoken: Callable[..., Pcm]
) -> None:
    pcm = spoken("請幫我打電話給陳曉薇。")
    told = await recognizer.transcribe(pcm, STTReq(ticket=LIVE, hotwords=("陳曉薇",)))
    assert "陳曉薇" in told.text
