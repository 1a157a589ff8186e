"""The judges together, each with ears of the test's own."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kuaimei.audio.pcm import ASR_RATE, EMPTY, Pcm
from kuaimei.engines.types import STTChunk, STTReq, TTSReq
from kuaimei.errors import EngineError
from kuaimei.evaluation.dnsmos import Dnsmos, DnsmosScores
from kuaimei.evaluation.intelligibility import count_units, error_rate_of, transcribe
from kuaimei.evaluation.panel import SpeakerEvaluator, Subject
from kuaimei.evaluation.report import COLUMNS, Naturalness, Speed, VoiceReport, one_line_summary, table_row
from kuaimei.evaluation.synthesize import SynthesizedSet, speak_all, time_speech
from kuaimei.evaluation.test_sentences import FIFTY, HELD_OUT, LONG
from kuaimei.voices.training.prompts import EVAL_PROMPTS, TRAINING_PROMPTS
from tests.support.fake_encoders import PitchEncoder, Rating

RATE = 24_000


def tone(hz: float, seconds: float = 1.0) -> Pcm:
    t = np.arange(int(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 9))
    return (4000 * np.asarray(wave)).astype(np.int16)


class Hearing:
    """Writes down what it is told to, and notes what it was asked."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.requests: list[tuple[int, STTReq]] = []

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        self.requests.append((len(pcm), req))
        return STTChunk(text=self.texts.pop(0), is_final=True)


SPEED = Speed(whole_s=2.0, first_audio_s=0.5, audio_s=10.0)


def panel(*texts: str, encoders: Sequence[str] = ("ge2e", "eres2net")) -> SpeakerEvaluator:
    dnsmos = Dnsmos(Rating([3.0, 3.0, 3.0]), Rating([3.5]))
    return SpeakerEvaluator({name: PitchEncoder(name) for name in encoders}, dnsmos, Hearing(*texts))


async def judged(subject: Subject, judges: SpeakerEvaluator, hz: float, **given: Any) -> VoiceReport:
    spoken = SynthesizedSet(("你好嗎", "再見"), (tone(hz), tone(hz)), RATE)
    parts: dict[str, Any] = {"tier": "fast", "step": "style", "speaks_as": "voice_x", **given}
    embedded = await judges.embeddings(spoken)
    return await judges.judge_voice(subject, spoken, embedded, engine="kokoro", speed=SPEED, **parts)


async def test_a_voice_is_judged_by_everybody() -> None:
    judges = panel("你好媽", "再見")
    met = await judges.add_subject("amy", "zh", tone(110, 2.0), tone(100, 2.0), RATE)
    assert met.stock == {}
    floor = {name: np.array([[0, 1], [0, 1]], np.float32) for name in ("ge2e", "eres2net")}
    subject = replace(met, stock={"fast": floor}, stock_errors={"fast": 0.1})
    found = await judged(subject, judges, 100.0, learned_s=12.34)
    assert found.judge == "eres2net"
    like = found.similarity["eres2net"]
    assert like.mean == pytest.approx(1.0, abs=0.01)
    assert like.ceiling == pytest.approx(np.cos(0.05 * np.pi / 2), abs=0.01)
    assert like.floor == pytest.approx(0.0, abs=0.02)
    assert found.characters == 5
    assert found.error_rate == 0.2
    assert found.error_over_stock == pytest.approx(10.0)
    assert found.dnsmos.overall == pytest.approx(2.78, abs=0.01)
    assert found.pitch is not None
    assert found.pitch.mean_hz == pytest.approx(100.0, rel=0.02)
    assert found.pitch.mean_semitones == pytest.approx(
        -0.83, abs=0.2
    )  # the reference lies between 100 and 110
    assert found.learned_s == 12.3
    assert VoiceReport.model_validate_json(found.model_dump_json()) == found
    row = table_row(found)
    assert len(row) == len(COLUMNS)
    assert row[:4] == ["amy", "kokoro", "fast", "style"]
    assert one_line_summary(found).startswith(
        "amy: style, fast: similarity 1.000 (ceiling 0.997), errors 20.0 %"
    )


async def test_the_stock_voice_is_its_own_floor() -> None:
    judges = panel("你好嗎", "再見")
    met = await judges.add_subject("amy", "zh", tone(110, 2.0), tone(100, 2.0), RATE)
    found = await judged(met, judges, 250.0, step="stock", speaks_as="zf_one")
    like = found.similarity["eres2net"]
    assert like.floor == like.mean
    assert like.reached == 0.0
    assert found.error_rate == 0.0
    assert found.error_over_stock is None
    assert "stock (zf_one)" in table_row(found)


async def test_more_text_makes_the_error_rate_only() -> None:
    judges = panel("你好嗎", "再見", "今天天汽好")
    met = await judges.add_subject("amy", "zh", tone(110, 2.0), tone(100, 2.0), RATE)
    long = SynthesizedSet(("今天天氣好",), (tone(100),), RATE)
    found = await judged(met, judges, 100.0, long=long)
    assert (found.sentences, found.characters, found.error_rate) == (2, 10, 0.1)


async def test_a_voiceless_reference_has_no_pitch_to_compare() -> None:
    judges = panel("你好嗎", "再見", encoders=("ge2e",))
    noise = np.random.default_rng(0).integers(-3000, 3000, 2 * RATE).astype(np.int16)
    met = await judges.add_subject("wind", "zh", noise, noise, RATE)
    found = await judged(met, judges, 100.0)
    assert found.pitch is None
    assert found.judge == "ge2e"  # better than nothing, and said so
    assert "–" in table_row(found)


# What is heard.


async def test_the_recogniser_is_told_the_language_and_nothing_of_the_text() -> None:
    hearing = Hearing("一", "二")
    spoken = SynthesizedSet(("一", "二"), (tone(100), tone(100, 2.0)), RATE)
    assert await transcribe(hearing, spoken, "zh") == ["一", "二"]
    assert [samples for samples, _ in hearing.requests] == [ASR_RATE, 2 * ASR_RATE]
    for _, req in hearing.requests:
        assert (req.language, req.prompt, req.hotwords) == ("zh", "", ())


def test_errors_are_counted_in_the_units_of_the_language() -> None:
    assert error_rate_of(["你好嗎?"], ["你好吗"], "zh") == 0.0
    assert error_rate_of(["how are you"], ["how are yew"], "en") == pytest.approx(1 / 3)
    assert count_units(["你好,OK"], "zh") == 4
    assert count_units(["It is fine."], "en") == 3


# What is spoken.


class Talker:
    """Speaks a character in a tenth of a second, on a clock of its own."""

    sample_rate = RATE

    def __init__(self, silent: str = "") -> None:
        self.now = 0.0
        self.silent = silent
        self.requests: list[TTSReq] = []

    def clock(self) -> float:
        return self.now

    async def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
        self.requests.append(req)
        for n in range(2):
            self.now += 0.25 * (1 + len(self.requests) % 3)
            half = np.ones(len(req.text) * RATE // 20, np.int16)
            yield EMPTY if req.text == self.silent else half + np.int16(n)


async def test_sentences_are_spoken_one_by_one() -> None:
    talker = Talker()
    spoken = await speak_all(talker, ["一二", "三"], "voice_x", "hq")
    assert [len(clip) for clip in spoken.clips] == [RATE // 5, RATE // 10]
    assert spoken.rate == RATE
    assert {(req.voice_id, req.mode) for req in talker.requests} == {("voice_x", "hq")}


async def test_a_voice_that_says_nothing_is_an_error() -> None:
    with pytest.raises(EngineError, match="produced no audio for '三'"):
        await speak_all(Talker(silent="三"), ["一二", "三"], "voice_x", "fast")


async def test_time_is_the_median_after_a_first_time() -> None:
    talker = Talker()
    speed = await time_speech(talker, "一" * 50, "v", "fast", clock=talker.clock)
    assert len(talker.requests) == 4
    assert speed == Speed(whole_s=1.0, first_audio_s=0.5, audio_s=5.0)


# What is said.


def test_nothing_that_is_judged_is_practised() -> None:
    for language in ("zh", "en"):
        practised = {*TRAINING_PROMPTS[language], *EVAL_PROMPTS[language]}
        said = (*HELD_OUT[language], *LONG[language], FIFTY[language])
        assert len(set(said)) == len(said)
        assert not practised & set(said)
        assert len(HELD_OUT[language]) == 10


def test_there_is_enough_of_it() -> None:
    assert count_units(HELD_OUT["zh"], "zh") >= 150
    assert count_units(LONG["zh"], "zh") >= 500
    assert count_units([FIFTY["zh"]], "zh") == 50


def test_opinions_are_averaged() -> None:
    both = Naturalness.of([DnsmosScores(3.0, 3.0, 4.0, 3.5), DnsmosScores(4.0, 3.5, 4.0, 3.6)])
    assert both == Naturalness(overall=3.5, signal=3.25, background=4.0, p808=3.55)
