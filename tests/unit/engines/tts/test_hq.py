"""The beautiful engine around a network that hums, and stops when it is told."""

import asyncio
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.loudness import SPEECH_DBFS, speech_level
from kuaimei.engines.onnx_sessions import CancellableRun
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts.kokoro.assets import Tokenizer, Voices
from kuaimei.engines.tts.kokoro.clause_synthesis import ClauseSynthesizer, SynthesisStopped
from kuaimei.engines.tts.kokoro.hq import KokoroHq, sentences
from kuaimei.engines.tts.kokoro.runtime import RATE, SynthesisInput
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.errors import EngineError
from kuaimei.text.clauses import speech_length

BACKGROUND = Ticket(session="hq", priority=Priority.BACKGROUND)
LIVE = Ticket(session="live", priority=Priority.LIVE)
TEXT = (
    "今天的天氣非常好，我們一起去公園散步，看看那裡的花開了沒有。"
    "好不好？回家的路上再去附近的餐廳，吃一頓豐盛的午餐。"
)


class Hum:
    """Hums 20 ms for each token; while the gate is shut it is at work until it is stopped."""

    def __init__(self) -> None:
        self.heard: list[SynthesisInput] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False
        self.stopped = 0
        self.closed = False

    def render(self, utterance: SynthesisInput, run: CancellableRun | None = None) -> NDArray[np.float32]:
        self.heard.append(utterance)
        self.begun.set()
        while not self.gate.wait(0.005):
            if run is not None and run.stopped:
                self.stopped += 1
                raise SynthesisStopped
        if self.fails:
            raise RuntimeError("no memory")
        time = np.arange(int(0.02 * RATE) * (len(utterance.tokens) - 2)) / RATE
        quiet = np.zeros(RATE // 3)
        tone = 0.1 * np.sin(2 * np.pi * 150 * time)
        return np.concatenate([quiet, tone, quiet]).astype(np.float32)

    def close(self) -> None:
        self.closed = True


def make(hum: Hum, scheduler: Scheduler | None = None) -> KokoroHq:
    alphabet = Tokenizer({"x": 5, ",": 3}, frozenset({3}))
    tables = {"zf_one": np.zeros((510, 256), np.float32), "zf_two": np.ones((510, 256), np.float32)}

    def phonemes(text: str) -> str:
        return "".join("x" if char.isalnum() else "," for char in text) if any(map(str.isalnum, text)) else ""

    return KokoroHq(
        hum, ClauseSynthesizer(alphabet, Voices(tables), phonemes), scheduler or Scheduler("cores", 2)
    )


async def test_a_sentence_is_one_piece_levelled_and_of_the_voice_asked_for() -> None:
    hum = Hum()
    kokoro = make(hum)
    kokoro.put_voice("voice_1", np.full(256, 0.5, np.float32))
    assert kokoro.voices == ("zf_one", "zf_two", "voice_1")
    pieces = [pcm async for pcm in kokoro.stream(TTSReq(text=TEXT, voice_id="voice_1", ticket=BACKGROUND))]
    assert len(pieces) == len(sentences(TEXT)) == len(hum.heard) == 2
    assert all((utterance.style == 0.5).all() for utterance in hum.heard)
    assert all(speech_level(pcm, RATE) == pytest.approx(SPEECH_DBFS, abs=1.0) for pcm in pieces)
    kokoro.drop_voice("voice_1")
    with pytest.raises(EngineError, match="zf_one, zf_two"):
        await anext(kokoro.stream(TTSReq(text=TEXT, voice_id="voice_1", ticket=BACKGROUND)))


async def test_it_gives_way_in_the_middle_and_begins_the_sentence_anew() -> None:
    hum, scheduler = Hum(), Scheduler("cores", 2)
    kokoro = make(hum, scheduler)
    hum.gate.clear()
    speaking = asyncio.ensure_future(anext(kokoro.stream(TTSReq(text=TEXT, ticket=BACKGROUND))))
    await asyncio.to_thread(hum.begun.wait)
    async with scheduler.acquire(LIVE, 2):  # would never come if the network went on
        assert (hum.stopped, scheduler.busy) == (1, 2)
        hum.gate.set()
        assert len(hum.heard) == 1
    pcm = await speaking
    assert len(pcm)
    assert kokoro.given_way == 1
    assert len(hum.heard) == 2
    assert np.array_equal(pcm, await anext(kokoro.stream(TTSReq(text=TEXT, ticket=BACKGROUND))))


async def test_whoever_wants_it_no_more_gets_the_core_back() -> None:
    hum, scheduler = Hum(), Scheduler("cores", 1)
    kokoro = make(hum, scheduler)
    hum.gate.clear()
    speaking = asyncio.ensure_future(anext(kokoro.stream(TTSReq(text=TEXT, ticket=BACKGROUND))))
    await asyncio.to_thread(hum.begun.wait)
    speaking.cancel()
    await asyncio.gather(speaking, return_exceptions=True)
    async with scheduler.acquire(BACKGROUND):
        assert hum.stopped == 1


async def test_a_network_that_fails_is_told_and_not_tried_for_ever() -> None:
    hum = Hum()
    hum.fails = True
    kokoro = make(hum)
    with pytest.raises(EngineError, match="no memory"):
        await anext(kokoro.stream(TTSReq(text=TEXT, ticket=BACKGROUND)))
    assert len(hum.heard) == 1
    kokoro.close()
    assert hum.closed


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("你好。", ["你好。"]),
        ("", []),
        (TEXT, [TEXT[:30], TEXT[30:]]),
        ("好的。沒問題。我馬上處理這件事情。", ["好的。沒問題。我馬上處理這件事情。"]),
    ],
)
def test_sentences(text: str, pieces: list[str]) -> None:
    assert sentences(text) == pieces


def test_no_sentence_is_longer_than_a_breath_and_none_is_lost() -> None:
    long = "我們明天早上先去車站搭火車，" * 12 + "然後" + "走很遠的路回到山上的老家" * 8 + "。Then we rest."
    pieces = sentences(long)
    assert "".join(pieces) == long
    assert all(speech_length(piece) <= 84 for piece in pieces)
    assert all(speech_length(piece) >= 12 for piece in pieces[:-1])
