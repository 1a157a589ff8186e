"""The engine around a network that hums: one burst of a tone for each piece, silence at both ends."""

import asyncio
import threading
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.loudness import SPEECH_DBFS, speech_level
from kuaimei.audio.pcm import Pcm
from kuaimei.audio.silence import sound_bounds
from kuaimei.engines.protocols import StyleVoiceBank
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts.kokoro.assets import Tokenizer, Voices
from kuaimei.engines.tts.kokoro.engine import Kokoro
from kuaimei.engines.tts.kokoro.runtime import RATE, RuntimeName, SynthesisInput
from kuaimei.engines.types import Ticket, TTSReq
from kuaimei.errors import EngineError, QueueFull

LONG = (
    "今天的天氣非常好，我們一起去公園散步，"
    "看看那裡的花開了沒有，然後再去附近的餐廳吃一頓豐盛的午餐，好不好呢？"
)


class Hum:
    """Hums 20 ms for each token, at a pitch and softness of its own for every piece."""

    name: RuntimeName = "onnxruntime-int8"

    def __init__(self) -> None:
        self.heard: list[tuple[SynthesisInput, bool]] = []
        self.lock = threading.Lock()
        self.at_once = 0
        self.most_at_once = 0
        self.gate = threading.Event()
        self.gate.set()
        self.both_begun = threading.Event()
        self.fails = False
        self.settled_after: int | None = None
        self.closed = False

    def render(self, utterance: SynthesisInput, *, alone: bool) -> NDArray[np.float32]:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.heard.append((utterance, alone))
            place = len(self.heard)
        if self.at_once == 2:
            self.both_begun.set()
        if not alone:
            self.gate.wait(10)
        with self.lock:
            self.at_once -= 1
        if self.fails:
            raise RuntimeError("no memory")
        time = np.arange(int(0.02 * RATE) * (len(utterance.tokens) - 2)) / RATE
        tone = 0.05 * (1 + place) * np.sin(2 * np.pi * 150 * time)
        quiet = np.zeros(RATE // 3)
        return np.concatenate([quiet, tone, quiet]).astype(np.float32)

    def settle(self) -> None:
        self.settled_after = len(self.heard)

    def close(self) -> None:
        self.closed = True


def make(hum: Hum, scheduler: Scheduler | None = None) -> Kokoro:
    alphabet = Tokenizer({"x": 5, ",": 3}, frozenset({3}))
    tables = {"zf_one": np.zeros((510, 256), np.float32), "zf_two": np.ones((510, 256), np.float32)}

    def phonemes(text: str) -> str:
        return "".join("x" if char.isalnum() else "," for char in text) if any(map(str.isalnum, text)) else ""

    return Kokoro(hum, alphabet, Voices(tables), phonemes, scheduler or Scheduler("cores", 4))


async def spoken(kokoro: Kokoro, text: str, **more: Any) -> list[Pcm]:
    return [pcm async for pcm in kokoro.stream(TTSReq(text=text, **more))]


def silence_after_ms(pcm: Pcm) -> float:
    bounds = sound_bounds(pcm, RATE)
    assert bounds is not None
    return (len(pcm) - bounds[1]) * 1000 / RATE


async def test_a_clause_is_one_piece_on_all_cores_trimmed_and_levelled() -> None:
    hum = Hum()
    (pcm,) = await spoken(make(hum), "我們一起去公園散步")
    ((utterance, alone),) = hum.heard
    assert alone
    assert utterance.tokens.tolist() == [0, *[5] * 9, 0]
    bounds = sound_bounds(pcm, RATE)
    assert bounds is not None
    assert bounds[0] <= 0.035 * RATE
    assert pcm.dtype == np.int16
    assert speech_level(pcm, RATE) == pytest.approx(SPEECH_DBFS, abs=1)


async def test_the_pause_is_that_of_the_punctuation() -> None:
    kokoro = make(Hum())
    pauses = [
        silence_after_ms((await spoken(kokoro, f"我們去公園{end}"))[0]) for end in ("", "，", "；", "。」")
    ]
    assert pauses == sorted(pauses)
    assert pauses[0] < 100
    assert pauses[1] == pytest.approx(170, abs=10)
    assert pauses[3] == pytest.approx(320, abs=10)


async def test_a_long_text_is_spoken_in_order_and_side_by_side() -> None:
    hum = Hum()
    hum.gate.clear()
    speaking = asyncio.ensure_future(spoken(make(hum), LONG))
    assert await asyncio.to_thread(hum.both_begun.wait, 10)
    hum.gate.set()
    pieces = await speaking
    assert [alone for _, alone in hum.heard] == [True, *[False] * (len(pieces) - 1)]
    assert len(pieces) >= 3
    assert 2 <= hum.most_at_once <= 4
    said = sum(len(utterance.tokens) - 2 for utterance, _ in hum.heard)
    assert said == len(LONG), "nothing is lost or said twice"
    joined = np.concatenate(pieces)
    borders = np.cumsum([len(piece) for piece in pieces])[:-1]
    assert np.abs(np.diff(joined.astype(int)))[borders - 1].max() <= 1, "no jump where clauses meet"


async def test_on_two_cores_a_long_text_is_spoken_one_piece_after_the_other() -> None:
    hum = Hum()
    pieces = await spoken(make(hum, Scheduler("cores", 2)), LONG)
    assert [alone for _, alone in hum.heard] == [True] * len(pieces)
    assert len(pieces) >= 3
    assert hum.most_at_once == 1


async def test_the_first_piece_does_not_wait_for_the_others() -> None:
    hum = Hum()
    hum.gate.clear()
    async with aclosing(make(hum).stream(TTSReq(text=LONG))) as stream:
        assert len(await anext(stream))
    hum.gate.set()


async def test_leaving_early_leaves_nothing_behind() -> None:
    hum = Hum()
    kokoro = make(hum)
    hum.gate.clear()
    async with aclosing(kokoro.stream(TTSReq(text=LONG * 3))) as stream:
        await anext(stream)
        second = asyncio.ensure_future(anext(stream))
        await asyncio.to_thread(hum.both_begun.wait, 10)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
    hum.gate.set()
    again = await spoken(kokoro, "你好。")
    assert len(again) == 1
    assert len(hum.heard) <= 1 + 4 + 1, "what had not begun never begins"


@pytest.mark.parametrize("text", ["", "，", "……！", "🙂"])
async def test_nothing_to_say_is_no_sound(text: str) -> None:
    assert not await spoken(make(Hum()), text)


async def test_voice_and_speed_are_passed_on() -> None:
    hum = Hum()
    await spoken(make(hum), "你好", voice_id="zf_two", speed=1.5)
    assert hum.heard[0][0].style[0, 0] == 1
    assert hum.heard[0][0].speed == 1.5


async def test_an_unknown_voice_is_refused_with_those_at_hand() -> None:
    with pytest.raises(EngineError, match=r"'nobody'.*zf_one, zf_two"):
        await spoken(make(Hum()), "你好", voice_id="nobody")


async def test_a_failure_of_the_network_is_one_sentence() -> None:
    hum = Hum()
    hum.fails = True
    with pytest.raises(EngineError, match=r"a text of 2 characters .*no memory"):
        await spoken(make(hum), "你好")


async def test_a_request_whose_time_is_up_is_refused() -> None:
    hum, scheduler = Hum(), Scheduler("cores", 1)
    kokoro = make(hum, scheduler)
    now = asyncio.get_running_loop().time()
    async with scheduler.acquire(Ticket()):
        with pytest.raises(QueueFull):
            await spoken(kokoro, "xx", ticket=Ticket(deadline=now - 1))
    assert not hum.heard


async def test_warming_up_renders_both_ways() -> None:
    hum = Hum()
    kokoro = make(hum)
    await kokoro.warm_up()
    assert {alone for _, alone in hum.heard} == {True, False}
    assert hum.settled_after == len(hum.heard), "what only the first pieces need is let go behind them"
    kokoro.close()
    assert hum.closed


async def test_a_voice_is_learned_at_run_time() -> None:
    hum = Hum()
    kokoro = make(hum)
    assert isinstance(kokoro, StyleVoiceBank)
    kokoro.put_voice("voice_a", np.full(256, 7.0, np.float32))
    assert list(kokoro.voices) == ["zf_one", "zf_two", "voice_a"]
    assert set(kokoro.stock) == {"zf_one", "zf_two"}
    await spoken(kokoro, "散步", voice_id="voice_a")
    assert hum.heard[-1][0].style.tolist() == [[7.0] * 256]
    kokoro.put_voice("voice_a", np.full(256, 8.0, np.float32))
    await spoken(kokoro, "散步", voice_id="voice_a")
    assert hum.heard[-1][0].style[0, 0] == 8.0
    kokoro.drop_voice("voice_a")
    kokoro.drop_voice("zf_one")
    assert list(kokoro.voices) == ["zf_one", "zf_two"]
    with pytest.raises(EngineError, match="unknown voice"):
        await spoken(kokoro, "散步", voice_id="voice_a")
    with pytest.raises(EngineError, match="stock voice"):
        kokoro.put_voice("zf_one", np.zeros(256, np.float32))
    with pytest.raises(EngineError, match="cannot be used"):
        kokoro.put_voice("voice_a", np.zeros(255, np.float32))
    assert kokoro.tokens("散步，") == (5, 5, 3)


async def test_what_is_being_spoken_in_a_dropped_voice_is_finished() -> None:
    hum = Hum()
    kokoro = make(hum)
    kokoro.put_voice("voice_a", np.full(256, 7.0, np.float32))
    stream = kokoro.stream(TTSReq(text=LONG, voice_id="voice_a"))
    async with aclosing(stream):
        await anext(stream)
        kokoro.drop_voice("voice_a")
        rest = [pcm async for pcm in stream]
    assert rest
    assert all(utterance.style[0, 0] == 7.0 for utterance, _ in hum.heard)
