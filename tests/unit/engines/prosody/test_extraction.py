import math
from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.prosody_voices import RATE, make_voice
from kuaimei.audio.pcm import Pcm, from_float
from kuaimei.audio.resample import resample
from kuaimei.engines.prosody import open_meter
from kuaimei.engines.prosody.extraction import measure
from kuaimei.engines.prosody.types import ExtractionResult, Features

RNG = np.random.default_rng(0)


class Ears:
    """Speech is what is loud for what it knows."""

    frame_samples = 320

    def probability(self, frame: Pcm) -> float:
        return 0.95 if float(np.square(frame / 32768.0).mean()) > 4e-4 else 0.05

    def reset(self) -> None:
        pass


def utterance(*, pause_s: float = 0.6, room: float = 1e-4) -> NDArray[np.float64]:
    """Half a second of room, a vowel, a pause, a vowel, half a second."""
    first, _ = make_voice(150.0, jitter=0.01, shimmer=0.04, seconds=1.2, seed=1)
    second, _ = make_voice(180.0, jitter=0.01, shimmer=0.04, seconds=1.0, seed=2)
    half = np.zeros(RATE // 2)
    clean = np.concatenate([half, first, np.zeros(int(pause_s * RATE)), second, half])
    return np.asarray(clean + room * np.random.default_rng(3).normal(size=len(clean)))


def measured(pcm: Pcm, rate: int = RATE, transcript: str | None = None) -> ExtractionResult:
    return measure(pcm, rate, vad=Ears(), meter=open_meter("own"), transcript=transcript, language="zh")


def test_an_utterance_in_numbers() -> None:
    found = measured(from_float(utterance()), transcript="嗯，今天天氣很好。")
    features = found.features
    # These ears are quick: real ones hear the beginning 0.07 s late, which is made up for.
    assert features.duration_s == pytest.approx(2.87, abs=0.05)
    assert features.speech_s == pytest.approx(2.27, abs=0.06)
    assert features.pause_ratio == pytest.approx(0.6 / 2.87, abs=0.02)
    assert features.pauses_per_min == pytest.approx(60 / 2.87, rel=0.03)
    assert features.pause_mean_s == pytest.approx(0.6, abs=0.05)
    assert features.rate_syl_s == pytest.approx(7 / 2.27, rel=0.03)
    assert features.fillers_per_min == pytest.approx(60 / 2.87, rel=0.03)
    assert features.voiced_fraction is not None
    assert features.voiced_fraction > 0.9
    assert features.f0_mean_hz == pytest.approx(163.0, abs=3.0)
    assert features.f0_range_st == pytest.approx(12 * math.log2(180 / 150), abs=0.4)
    assert features.jitter == pytest.approx(0.01, rel=0.15)
    assert features.shimmer == pytest.approx(0.04, rel=0.15)
    assert features.snr_db is not None
    assert features.snr_db > 45.0
    (pause,) = found.contours.pauses
    assert pause.start_s == pytest.approx(1.7, abs=0.04)
    assert len(found.contours.f0_hz) == pytest.approx(380, abs=1)
    assert not any(found.contours.f0_hz[:45])
    assert not any(found.contours.f0_hz[175:225])


def test_without_a_transcript_rate_and_fillers_cannot_be_told() -> None:
    for transcript in (None, "", "……"):
        features = measured(from_float(utterance()), transcript=transcript).features
        assert features.rate_syl_s is None
    assert measured(from_float(utterance())).features.fillers_per_min is None


def alike(features: Features, other: Features, *, but: tuple[str, ...] = (), rel: float = 0.02) -> None:
    one, two = asdict(features), asdict(other)
    for name in one:
        if one[name] is None or two[name] is None:
            assert one[name] is two[name], name
        elif name not in but:
            assert two[name] == pytest.approx(one[name], rel=rel, abs=0.02), name


@pytest.mark.parametrize("gain", [0.25, 3.0])
def test_the_level_changes_nothing(gain: float) -> None:
    wave = utterance()
    # Ears that know one level hear the common one.
    alike(
        measured(from_float(wave), transcript="你好").features,
        measured(from_float(gain * wave), transcript="你好").features,
        but=("snr_db",),  # what is soft is rounded
    )


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_nor_does_the_rate(rate: int) -> None:
    pcm = from_float(utterance())
    alike(measured(pcm).features, measured(resample(pcm, RATE, rate), rate).features, rel=0.03)


def test_nor_does_a_constant() -> None:
    wave = utterance()
    alike(measured(from_float(wave)).features, measured(from_float(wave + 0.1)).features)


def test_noise_is_heard_as_noise_and_taken_out_of_the_voice() -> None:
    clean = utterance()
    noisy = clean + 0.01 * RNG.normal(size=len(clean))
    one, other = measured(from_float(clean)).features, measured(from_float(noisy)).features
    assert one.snr_db is not None
    assert other.snr_db is not None
    assert other.snr_db < one.snr_db - 15.0
    raw = open_meter("own").voice(noisy.astype(np.float32), RATE).hnr_db
    assert raw is not None
    assert one.hnr_db is not None
    assert other.hnr_db is not None
    assert abs(other.hnr_db - one.hnr_db) < abs(raw - one.hnr_db)
    alike(one, other, but=("snr_db", "hnr_db", "jitter", "shimmer", "tremor_st"), rel=0.1)


def test_more_energy_dynamics_are_more() -> None:
    wave = utterance(pause_s=0.3)
    t = np.arange(len(wave)) / RATE
    found = [
        measured(from_float(wave * 10 ** (depth / 20 * np.sin(2 * np.pi * 1.5 * t)))).features.level_sd_db
        for depth in (0.0, 2.0, 4.0, 6.0)
    ]
    assert all(value is not None for value in found)
    assert found == sorted(found, key=lambda value: value or 0.0)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize(
    "pcm",
    [np.zeros(0, np.int16), np.ones(1, np.int16), from_float(utterance())[8_000:8_800],
     np.zeros(RATE, np.int16), np.full(RATE, 12_000, np.int16), from_float(RNG.normal(0, 0.1, RATE)),
     np.where(utterance() > 0, 32767, -32768).astype(np.int16)],
    ids=["nothing", "one", "50 ms", "silence", "constant", "noise", "clipped"],
)  # fmt: skip
def test_poor_sound_raises_nothing(pcm: Pcm, rate: int) -> None:
    found = measured(pcm, rate, transcript="嗯，你好")
    for name, value in asdict(found.features).items():
        assert value is None or math.isfinite(value), name
    assert len(found.contours.f0_hz) == pytest.approx(len(pcm) * 100 // rate, abs=1)
    assert all(math.isfinite(hz) and hz >= 0.0 for hz in found.contours.f0_hz)
    if len(pcm) < 100 or len(np.unique(pcm)) == 1:
        assert found.features == Features(0.0, 0.0)


def test_minutes_are_measured_as_seconds_are() -> None:
    once = utterance(pause_s=0.3)
    long = measured(from_float(np.tile(once, 20))).features
    short = measured(from_float(once)).features
    assert long.jitter == pytest.approx(short.jitter, rel=0.05)
    assert long.f0_mean_hz == pytest.approx(short.f0_mean_hz, rel=0.01)
    assert long.pauses_per_min is not None
    assert long.duration_s == pytest.approx(20 * len(once) / RATE - 1.0, abs=0.1)
