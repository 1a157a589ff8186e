import json
from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.asr import open_captioner, vosk
from kuaimei.engines.asr.vosk import VoskCaptioner
from kuaimei.engines.protocols import CaptionStream
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Priority, STTChunk, Ticket
from kuaimei.errors import EngineError, QueueFull, WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings


class Decoder:
    """Understands one word for every step it hears, and finds a pause after every third."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.heard: list[int] = []
        self.since_pause = 0

    def AcceptWaveform(self, data: bytes) -> int:  # noqa: N802
        self.heard.append(len(data) // 2)
        self.since_pause += 1
        return int(self.since_pause == 3)

    def Result(self) -> str:  # noqa: N802
        text = self._partial()
        self.since_pause = 0
        return json.dumps({"text": text})

    def PartialResult(self) -> str:  # noqa: N802
        return json.dumps({"partial": self._partial()})

    def _partial(self) -> str:
        end = len(self.heard)
        return " ".join(self.words[end - self.since_pause : end])


def steps(count: int) -> Pcm:
    return np.zeros(count * 6400, np.int16)


async def caption(stream: CaptionStream, pcm: Pcm) -> STTChunk:
    chunk = await stream.push(pcm)
    assert chunk is not None
    return chunk


@pytest.fixture
def cores() -> Scheduler:
    return Scheduler("cores", 2, limit=2)


async def test_captions_grow_in_traditional_script_without_spaces(cores: Scheduler) -> None:
    captioner = VoskCaptioner({"zh": lambda: Decoder(["今天", "软件", "会议", "在", "下午"])}, cores)
    stream = captioner.open("zh")
    texts = [(await caption(stream, steps(1))).text for _ in range(5)]
    assert texts == ["今天", "今天軟體", "今天軟體會議", "今天軟體會議在", "今天軟體會議在下午"]


async def test_english_keeps_its_spaces_across_a_pause(cores: Scheduler) -> None:
    captioner = VoskCaptioner({"en": lambda: Decoder(["some", "call", "me", "nature"])}, cores)
    chunk = await caption(captioner.open("en"), steps(4))
    assert chunk.text == "some call me nature"
    assert (chunk.is_final, chunk.language, chunk.end_ms) == (False, "en", 1600.0)


async def test_an_unchanged_caption_is_not_told_again(cores: Scheduler) -> None:
    captioner = VoskCaptioner({"zh": lambda: Decoder(["今天", "[unk]", ""])}, cores)
    stream = captioner.open("zh")
    assert (await caption(stream, steps(1))).text == "今天"
    assert await stream.push(steps(1)) is None
    assert await stream.push(np.zeros(0, np.int16)) is None


async def test_a_backlog_is_heard_in_short_steps(cores: Scheduler) -> None:
    decoder = Decoder(["一"] * 20)
    await VoskCaptioner({"zh": lambda: decoder}, cores).open("zh").push(np.zeros(6400 * 5 + 100, np.int16))
    assert decoder.heard == [6400] * 5 + [100]


async def test_every_utterance_has_a_decoder_of_its_own(cores: Scheduler) -> None:
    captioner = VoskCaptioner({"zh": lambda: Decoder(["一", "二"])}, cores)
    one, other = captioner.open("zh"), captioner.open("zh")
    assert (await caption(one, steps(1))).text == "一"
    assert (await caption(other, steps(1))).text == "一"
    assert (await caption(one, steps(1))).text == "一二"


async def test_a_language_without_a_model_is_heard_by_the_other(cores: Scheduler) -> None:
    stream = VoskCaptioner({"zh": lambda: Decoder(["好"])}, cores).open("en")
    assert (await caption(stream, steps(1))).language == "zh"


async def test_a_closed_stream_says_nothing_more(cores: Scheduler) -> None:
    made: list[Decoder] = []

    def make() -> Decoder:
        made.append(Decoder(["好"]))
        return made[-1]

    stream = VoskCaptioner({"zh": make}, cores).open("zh")
    await stream.close()
    await stream.close()
    assert await stream.push(steps(1)) is None
    assert made == []


async def test_a_full_queue_is_told_and_survived(cores: Scheduler) -> None:
    stream = VoskCaptioner({"zh": lambda: Decoder(["好"])}, Scheduler("cores", 1, limit=0)).open("zh")
    with pytest.raises(QueueFull):
        await stream.push(steps(1))
    open_stream = VoskCaptioner({"zh": lambda: Decoder(["好"])}, cores).open("zh")
    async with cores.acquire(Ticket(priority=Priority.LIVE), 1):  # one of two cores is enough
        assert (await caption(open_stream, steps(1))).text == "好"


async def test_a_failing_decoder_is_an_engine_error(cores: Scheduler) -> None:
    class Broken(Decoder):
        def AcceptWaveform(self, data: bytes) -> int:  # noqa: N802
            raise Exception("Failed to process waveform")

    with pytest.raises(EngineError, match="400 ms"):
        await VoskCaptioner({"zh": lambda: Broken([])}, cores).open("zh").push(steps(1))


async def test_opening_without_weights_says_what_to_do(tmp_path: Path) -> None:
    engine_context = EngineContext(Settings(home=tmp_path), Scheduler("cores", 2))
    for path, said in ((None, "are not installed"), (tmp_path, "neither a zh nor an en")):
        with pytest.raises(WeightsError, match=said):
            async with open_captioner(engine_context, EngineSource("captions", "vosk-small", "vosk", path)):
                pass
    (tmp_path / "zh").mkdir()
    with pytest.raises(WeightsError, match="not a readable Vosk model"):
        async with open_captioner(engine_context, EngineSource("captions", "vosk-small", "vosk", tmp_path)):
            pass


async def test_a_caption_costs_no_more_late_in_a_long_utterance(
    cores: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[str] = []

    def present(text: str) -> str:
        converted.append(text)
        return text

    monkeypatch.setattr(vosk, "postprocess_transcript", present)
    decoder = Decoder([f"詞{number}" for number in range(300)])
    stream = VoskCaptioner({"zh": lambda: decoder}, cores).open("zh")
    for _ in range(299):
        await stream.push(steps(1))
    converted.clear()
    chunk = await caption(stream, steps(1))
    assert chunk.text.startswith("詞0")
    assert chunk.text.endswith("詞299")
    assert sum(map(len, converted)) < 20
