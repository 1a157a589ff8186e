"""What the recogniser makes of a decoder's drafts: here the decoder is scripted, to the letter."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.asr.hallucination_filter import Hypothesis
from kuaimei.engines.asr.whisper import WhisperRecognizer
from kuaimei.engines.asr.whisper_decoder import LEAST_WINDOW_S, WhisperInput
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Language, Priority, STTChunk, STTReq, Ticket
from kuaimei.errors import EngineError, QueueFull
from tests.support.virtual_time import virtually

LIVE = Ticket(session="a", priority=Priority.LIVE)


def tone(seconds: float) -> Pcm:
    t = np.arange(int(seconds * 16_000)) / 16_000
    return (5000 * np.sin(2 * np.pi * 220 * t)).astype(np.int16)


def draft(
    text: str, log_probability: float = -0.2, no_speech: float = 0.05, finished: bool = True
) -> Hypothesis:
    return Hypothesis(text, log_probability, no_speech, finished)


class Scripted:
    """Gives the drafts in order and keeps what it was asked."""

    def __init__(self, drafts: Iterable[Hypothesis | Exception], language: Language = "zh") -> None:
        self.drafts = list(drafts)
        self.language = language
        self.encoded: list[tuple[int, float]] = []
        self.decoded: list[tuple[str, float]] = []
        self.after_encoding: Callable[[], None] = lambda: None
        self.before_decoding: Callable[[], None] = lambda: None

    def encode(self, pcm: Pcm, language: Language | None, *, least_s: float = LEAST_WINDOW_S) -> WhisperInput:
        self.encoded.append((len(pcm), least_s))
        self.after_encoding()
        return WhisperInput(None, language or self.language, len(pcm) / 16_000)

    def decode(
        self, heard: WhisperInput, prompt: str = "", *, beams: int = 1, temperature: float = 0.0
    ) -> Hypothesis:
        self.before_decoding()
        self.decoded.append((prompt, temperature))
        answer = self.drafts.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def transcribe(script: Scripted, seconds: float = 2.0, **request: Any) -> STTChunk:
    cores = Scheduler("cores", 2)
    chunk = await WhisperRecognizer(script, cores).transcribe(
        tone(seconds), STTReq(**{"ticket": LIVE, **request})
    )
    assert cores.busy == 0
    return chunk


async def test_a_believable_draft_is_shown_at_once() -> None:
    script = Scripted([draft("今天天气很好,我们出门吧.", -0.1)])
    chunk = await transcribe(script)
    assert chunk.text == "今天天氣很好，我們出門吧。"
    assert chunk.is_final
    assert chunk.language == "zh"
    assert (chunk.start_ms, chunk.end_ms) == (0.0, 2000.0)
    assert chunk.confidence == pytest.approx(np.exp(-0.1))
    assert script.encoded == [(32_000, 6.0)]
    assert script.decoded == [("以下是臺灣繁體中文的句子。", 0.0)]


async def test_english_gets_no_chinese_prompt() -> None:
    script = Scripted([draft("Some call me nature.")], language="en")
    chunk = await transcribe(script)
    assert (chunk.text, chunk.language) == ("Some call me nature.", "en")
    assert script.decoded[0][0] == ""


async def test_hot_words_and_context_go_into_the_prompt() -> None:
    script = Scripted([draft("快美在內湖。")])
    await transcribe(script, hotwords=("快美", "內湖"), prompt="我們公司在哪裡？")
    assert script.decoded[0][0] == "以下是臺灣繁體中文的句子。 詞彙：快美、內湖。 我們公司在哪裡？"
    script = Scripted([draft("Kuaimei is here.")], language="en")
    await transcribe(script, hotwords=("Kuaimei", "Neihu"))
    assert script.decoded[0][0] == "Glossary: Kuaimei, Neihu."


async def test_digital_silence_costs_nothing() -> None:
    script = Scripted([])
    chunk = await WhisperRecognizer(script, Scheduler("cores", 2)).transcribe(
        np.zeros(32_000, np.int16), STTReq(ticket=LIVE)
    )
    assert (chunk.text, chunk.language, chunk.confidence) == ("", None, None)
    assert script.encoded == []


@pytest.mark.parametrize(
    "doubted", [draft("我覺得" * 8), draft(""), draft("今天", -2.0), draft("今天天氣很好", finished=False)]
)
async def test_a_doubted_draft_is_decoded_again_with_a_wider_window(doubted: Hypothesis) -> None:
    script = Scripted([doubted, draft("今天天氣很好。")])
    chunk = await transcribe(script, hotwords=("快美",), prompt="之前")
    assert chunk.text == "今天天氣很好。"
    assert script.encoded == [(32_000, 6.0), (32_000, 15.0)]
    assert script.decoded[1] == ("以下是臺灣繁體中文的句子。", 0.0)  # what led it astray is left out


async def test_who_waits_gets_the_best_of_three_drafts() -> None:
    script = Scripted([draft("我覺得" * 8, -0.1), draft("嗯不知道", -1.8), draft("嗯", -2.5)])
    assert (await transcribe(script)).text == "嗯不知道"


async def test_a_loop_to_the_last_is_told_once() -> None:
    script = Scripted(
        [
            draft("你好，我覺得我覺得我覺得我覺得可以", -0.1),
            draft("我覺得" * 30, -0.1),
            draft("我覺得" * 40, -0.1),
        ]
    )
    assert (await transcribe(script)).text == "你好，我覺得可以"


async def test_in_the_background_temperatures_are_tried_as_well() -> None:
    script = Scripted([*[draft("我覺得" * 8)] * 4, draft("我覺得可以")])
    chunk = await transcribe(script, ticket=Ticket(priority=Priority.BACKGROUND))
    assert chunk.text == "我覺得可以"
    assert [temperature for _, temperature in script.decoded] == [0.0, 0.0, 0.0, 0.4, 0.8]


async def test_the_prompt_recited_is_nothing_said() -> None:
    script = Scripted([draft("以下是臺灣繁體中文的句子。"), *[draft("臺灣繁體中文的句子")] * 2])
    chunk = await transcribe(script)
    assert (chunk.text, chunk.language) == ("", None)


async def test_the_glossary_recited_is_nothing_said_but_a_hot_word_is() -> None:
    hotwords = ("快美語音", "內湖分部", "陳經理人")
    script = Scripted([draft("快美語音、內湖分部、陳經理人"), draft(""), draft("")])
    assert (await transcribe(script, hotwords=hotwords)).text == ""
    script = Scripted([draft("內湖分部")])
    assert (await transcribe(script, hotwords=hotwords)).text == "內湖分部"


async def test_credits_over_noise_are_dropped_and_thanks_are_not() -> None:
    script = Scripted([draft("謝謝觀看", no_speech=0.7)])
    assert (await transcribe(script)).text == ""
    script = Scripted([draft("謝謝觀看")])
    assert (await transcribe(script)).text == "謝謝觀看"


async def test_noise_that_makes_the_decoder_guess_is_nothing_said() -> None:
    script = Scripted([draft("So", -1.7, 0.5), *[draft("字幕製作人", -1.2, 0.9)] * 2])
    assert (await transcribe(script)).text == ""
    script = Scripted([draft("So", -1.7, 0.6)])
    assert (await transcribe(script)).text == ""
    script = Scripted([draft("you", -1.8, 0.45)], language="en")
    assert (await transcribe(script)).text == ""


async def test_pieces_of_a_long_recording_are_joined() -> None:
    words = "這是一段很長的話，說了很久都沒有停下來，因為要說的事情真的非常多。"
    script = Scripted([draft(words, -0.1), draft(words[::-1], -0.3)])
    chunk = await transcribe(script, 40.0)
    assert [least_s for _, least_s in script.encoded] == [6.0, 6.0]
    assert sum(length for length, _ in script.encoded) == 40 * 16_000
    assert chunk.text == f"{words}{words[::-1]}"
    assert script.decoded[1][0].endswith(words)
    assert chunk.confidence is not None
    assert np.exp(-0.3) < chunk.confidence < np.exp(-0.1)


async def test_in_the_background_long_recordings_are_cut_finer() -> None:
    words = "這是一段很長的話，說了很久都沒有停下來，因為要說的事情真的非常多。"
    script = Scripted([draft(words) for _ in range(8)])
    await transcribe(script, 40.0, ticket=Ticket(priority=Priority.BACKGROUND))
    assert max(length for length, _ in script.encoded) <= 12 * 16_000


async def test_an_engine_error_is_passed_on() -> None:
    script = Scripted([EngineError("Whisper could not decode")])
    with pytest.raises(EngineError, match="could not decode"):
        await transcribe(script)


async def test_a_speculation_dropped_after_the_encoder_costs_no_decoder() -> None:
    loop = asyncio.get_running_loop()
    encoding, proceed = asyncio.Event(), asyncio.Event()
    script = Scripted([draft("今天天氣很好。")])

    def hold() -> None:
        loop.call_soon_threadsafe(encoding.set)
        asyncio.run_coroutine_threadsafe(proceed.wait(), loop).result()

    script.after_encoding = hold
    cores = Scheduler("cores", 2)
    task = asyncio.ensure_future(WhisperRecognizer(script, cores).transcribe(tone(2), STTReq(ticket=LIVE)))
    await encoding.wait()
    task.cancel()
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with cores.acquire(LIVE, 2):  # the encoder has finished and given the cores back
        pass
    assert script.decoded == []


@virtually
async def test_without_time_for_a_second_try_the_first_draft_has_to_do() -> None:
    loop = asyncio.get_running_loop()
    cores = Scheduler("cores", 2)
    script = Scripted([draft("今天天氣", -1.6)])
    recognizer = WhisperRecognizer(script, cores)
    ticket = Ticket(session="a", priority=Priority.BACKGROUND, deadline=loop.time() + 1.0)
    other = Ticket(session="b", priority=Priority.LIVE)

    async def occupy() -> None:
        async with cores.acquire(other, 2):
            await asyncio.sleep(5.0)

    occupying: list[asyncio.Task[None]] = []

    def queue() -> None:
        loop.call_soon_threadsafe(lambda: occupying.append(asyncio.ensure_future(occupy())))

    script.before_decoding = queue
    chunk = await recognizer.transcribe(tone(2), STTReq(ticket=ticket))
    assert chunk.text == "今天天氣"
    await asyncio.gather(*occupying)


@virtually
async def test_no_cores_in_time_is_queue_full() -> None:
    cores = Scheduler("cores", 2)
    ticket = LIVE.model_copy(update={"deadline": asyncio.get_running_loop().time() + 0.5})
    async with cores.acquire(LIVE, 2):
        with pytest.raises(QueueFull):
            await WhisperRecognizer(Scripted([]), cores).transcribe(tone(2), STTReq(ticket=ticket))
