"""Measured of real speech, with the real detectors."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from kuaimei.audio.pcm import ASR_RATE, Pcm, from_float, to_float
from kuaimei.audio.resample import resample
from kuaimei.audio.silence import silence, trim_silence
from kuaimei.engines.prosody import open_meter
from kuaimei.engines.prosody.extraction import measure
from kuaimei.engines.prosody.types import ExtractionResult, Features
from kuaimei.engines.protocols import VoiceActivityDetector
from kuaimei.engines.vad.silero import SileroVad, load_silero
from kuaimei.engines.vad.webrtc import WebRtcVad

pytestmark = pytest.mark.models

Spoken = Callable[..., Pcm]

READ = (
    ("如果還有什麼問題，請隨時告訴我。", 14, "zf_xiaoyi"),
    ("今天天氣很好，我們一起去公園散步吧。", 16, "zf_xiaoyi"),
    ("The weather is nice today, so let us take a walk in the park.", 16, "af_heart"),
)
"""Texts, their syllables counted by hand, and a voice whose language it is."""
EDGE_MS = 500.0


@pytest.fixture(scope="module")
def make_vad() -> Callable[[], VoiceActivityDetector]:
    session = load_silero()
    return lambda: SileroVad(session)


def within_silence(*parts: Pcm, gap_ms: float = 0.0) -> Pcm:
    """``parts`` with that much silence between them, half a second of it around all, in a quiet room."""
    pieces = [silence(EDGE_MS, ASR_RATE)]
    for part in parts:
        pieces += [
            trim_silence(part, ASR_RATE, keep_start_ms=0.0, keep_end_ms=0.0),
            silence(gap_ms, ASR_RATE),
        ]
    whole = to_float(np.concatenate([*pieces[:-1], silence(EDGE_MS, ASR_RATE)]))
    return from_float(whole + np.random.default_rng(0).normal(0, 2e-4, len(whole)))


def of(
    pcm: Pcm, vad: VoiceActivityDetector, transcript: str | None = None, rate: int = ASR_RATE
) -> ExtractionResult:
    return measure(pcm, rate, vad=vad, meter=open_meter("own"), transcript=transcript)


@pytest.mark.parametrize(("text", "syllables", "voice"), READ)
def test_the_rate_of_read_speech_is_right_within_a_tenth(
    spoken: Spoken,
    make_vad: Callable[[], VoiceActivityDetector],
    text: str,
    syllables: int,
    voice: str,
) -> None:
    said = trim_silence(spoken(text, voice), ASR_RATE, keep_start_ms=0.0, keep_end_ms=0.0)
    features = of(within_silence(said), make_vad(), text).features
    # To trim_silence, the pause at the comma is speech.
    true_s = len(said) / ASR_RATE - (features.duration_s - features.speech_s)
    assert features.rate_syl_s == pytest.approx(syllables / true_s, rel=0.1)
    assert features.duration_s == pytest.approx(len(said) / ASR_RATE, abs=0.2)


@pytest.mark.parametrize("detector", ["silero", "webrtc"])
@pytest.mark.parametrize("gap_ms", [400.0, 900.0])
def test_a_pause_that_was_put_in_is_found_as_long_as_it_is(
    spoken: Spoken, make_vad: Callable[[], VoiceActivityDetector], detector: str, gap_ms: float
) -> None:
    vad = make_vad() if detector == "silero" else WebRtcVad()
    before, after = spoken(READ[0][0]), spoken(READ[1][0])
    found = of(within_silence(before, after, gap_ms=gap_ms), vad)
    longest = max(found.contours.pauses, key=lambda pause: pause.end_s - pause.start_s)
    assert longest.end_s - longest.start_s == pytest.approx(gap_ms / 1000.0, abs=0.12)


@pytest.fixture(scope="module")
def said(spoken: Spoken) -> Pcm:
    return within_silence(spoken(READ[1][0]))


@pytest.fixture(scope="module")
def plain(said: Pcm, make_vad: Callable[[], VoiceActivityDetector]) -> Features:
    return of(said, make_vad()).features


ALL = ("pause_ratio", "voiced_fraction", "f0_mean_hz", "f0_sd_st", "f0_range_st", "f0_change_st_s",
       "tremor_st", "jitter", "shimmer", "hnr_db", "level_sd_db", "level_range_db")  # fmt: skip


def test_everything_can_be_told_of_it(plain: Features) -> None:
    assert all(getattr(plain, name) is not None for name in ALL)
    assert 150.0 < (plain.f0_mean_hz or 0.0) < 320.0
    assert 0.003 < (plain.jitter or 0.0) < 0.05
    assert (plain.snr_db or 0.0) > 35.0


@pytest.mark.parametrize("change", ["quieter", "louder", "8 kHz", "48 kHz"])
def test_gain_and_rate_change_nothing(
    said: Pcm, plain: Features, make_vad: Callable[[], VoiceActivityDetector], change: str
) -> None:
    loudest = float(np.abs(to_float(said)).max())
    rate = {"8 kHz": 8_000, "48 kHz": 48_000}.get(change, ASR_RATE)
    gain = {"quieter": 0.25, "louder": min(4.0, 0.98 / loudest)}.get(change, 1.0)
    changed = of(resample(from_float(gain * to_float(said)), ASR_RATE, rate), make_vad(), rate=rate).features
    for name in ALL:
        assert getattr(changed, name) == pytest.approx(getattr(plain, name), rel=0.03, abs=0.01), name


def test_noise_of_20_db_changes_little(
    said: Pcm, plain: Features, make_vad: Callable[[], VoiceActivityDetector]
) -> None:
    wave = to_float(said)
    loud = float(np.percentile(np.square(wave).reshape(-1, 8)[: len(wave) // 8].mean(axis=1), 80.0))
    noisy = wave + np.random.default_rng(1).normal(0, math.sqrt(loud / 100.0), len(wave))
    found = of(from_float(noisy), make_vad()).features
    for name in ("f0_mean_hz", "f0_sd_st", "f0_range_st", "f0_change_st_s", "level_sd_db", "level_range_db"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=0.15), name
    for name in ("tremor_st", "jitter", "shimmer", "hnr_db", "voiced_fraction"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=0.3), name


def test_a_trembling_voice_trembles(
    said: Pcm, plain: Features, make_vad: Callable[[], VoiceActivityDetector]
) -> None:
    wave = to_float(said)
    t = np.arange(len(wave)) / ASR_RATE
    found = [plain.tremor_st or 0.0]
    for depth_st in (0.5, 1.0):
        speed = 2.0 ** (depth_st / 12.0 * np.sin(2 * np.pi * 8.0 * t))
        places = np.cumsum(speed) - speed[0]
        shaken = np.interp(places[places < len(wave) - 1], np.arange(len(wave)), wave)
        found.append(of(from_float(shaken), make_vad()).features.tremor_st or 0.0)
    assert found == sorted(found)
    assert found[-1] > 2.0 * found[0]
