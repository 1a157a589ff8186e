"""Every meter on voices whose F0, jitter, shimmer and noise are known."""

import logging
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.prosody_ground_truth import compare
from bench.prosody_voices import DAMPED, RATE, RINGING, make_voice
from kuaimei.engines.prosody import EXTRACTOR, METERS, open_meter
from kuaimei.engines.protocols import VoiceQualityExtractor
from kuaimei.errors import SettingsError

PACKAGES = {"own": "numpy", "librosa": "librosa", "praat": "parselmouth", "opensmile": "opensmile"}


@pytest.fixture(scope="module", params=list(METERS))
def meter(request: pytest.FixtureRequest) -> VoiceQualityExtractor:
    pytest.importorskip(PACKAGES[request.param])
    return open_meter(request.param)


@pytest.fixture(scope="module", params=["own", "librosa", "praat"])
def exact_meter(request: pytest.FixtureRequest) -> VoiceQualityExtractor:
    pytest.importorskip(PACKAGES[request.param])
    return open_meter(request.param)


def test_what_was_put_in_comes_back_within_five_percent(exact_meter: VoiceQualityExtractor) -> None:
    lines = list(compare([exact_meter], damping=DAMPED, pitches=(90.0, 160.0, 300.0), seconds=1.2))
    assert len(lines) == 27
    for line in lines:
        off, f0_off = line.off(exact_meter.name), line.f0_off[exact_meter.name]
        assert off is not None, line
        assert f0_off is not None, line
        assert abs(off) <= 0.05, line
        assert abs(f0_off) <= 0.05, line


def test_opensmile_has_the_pitch_and_nearly_the_jitter_and_an_hnr_of_its_own() -> None:
    pytest.importorskip("opensmile")
    meter = open_meter("opensmile")
    lines = list(compare([meter], damping=DAMPED, pitches=(160.0,)))
    ratios = []
    for line in lines:
        off, f0_off = line.off("opensmile"), line.f0_off["opensmile"]
        assert off is not None
        assert f0_off is not None
        assert abs(f0_off) < 0.01, line
        if line.quantity == "hnr_db":
            ratios.append(line.measured["opensmile"])
        else:
            assert abs(off) < (0.1 if line.quantity == "jitter" else 0.2), line
    assert ratios[:3] == sorted(ratios[:3], key=lambda ratio: ratio or 0.0)
    assert all(ratio is not None and ratio < 16.0 for ratio in ratios)


def test_pulses_that_ring_into_each_other_look_alike_to_praat_as_to_the_own_meter() -> None:
    pytest.importorskip("parselmouth")
    samples, truth = make_voice(220.0, jitter=0.01, damping=RINGING)
    own, praat = open_meter("own").voice(samples, RATE), open_meter("praat").voice(samples, RATE)
    assert own.jitter is not None
    assert own.jitter == pytest.approx(praat.jitter, rel=0.03)
    assert own.jitter < 0.8 * truth.jitter


def test_a_glide_is_followed_in_time(meter: VoiceQualityExtractor) -> None:
    hz = np.geomspace(120.0, 240.0, 2 * RATE)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    samples = (0.1 * np.asarray(sum(np.sin(k * phase) for k in range(1, 10)))).astype(np.float32)
    f0_hz = meter.voice(samples, RATE).f0_hz
    assert len(f0_hz) == 200
    middle = f0_hz[15:-15]
    assert (middle > 0).mean() > 0.95
    expected = hz[np.arange(200) * 160 + 80][15:-15]
    off = 12 * np.log2(middle[middle > 0] / expected[middle > 0])
    assert abs(off.mean()) < 0.06  # one frame of 10 ms


def _noise() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize(
    "samples",
    [np.zeros(0, np.float32), np.zeros(1, np.float32), np.zeros(RATE, np.float32), _noise(), _noise()[:800],
     np.full(RATE, 0.5, np.float32), np.sign(_noise())],
    ids=["nothing", "one", "silence", "noise", "50 ms", "constant", "clipped"],
)  # fmt: skip
def test_poor_sound_raises_nothing(
    meter: VoiceQualityExtractor, samples: NDArray[np.float32], rate: int
) -> None:
    voice = meter.voice(samples, rate)
    assert abs(len(voice.f0_hz) - len(samples) * 100 // rate) <= 1
    assert np.isfinite(voice.f0_hz).all()
    for value in (voice.jitter, voice.shimmer, voice.hnr_db):
        assert value is None or np.isfinite(value)
    if not samples.any():
        assert not voice.f0_hz.any()
        assert voice.jitter is voice.shimmer is voice.hnr_db is None


@pytest.mark.parametrize("gain", [0.05, 3.0])
def test_the_level_makes_no_difference(meter: VoiceQualityExtractor, gain: float) -> None:
    samples, _ = make_voice(160.0, jitter=0.01, shimmer=0.03, hnr_db=20.0, seconds=1.0)
    plain, changed = meter.voice(samples, RATE), meter.voice(samples * np.float32(gain), RATE)
    assert changed.jitter == pytest.approx(plain.jitter, rel=0.02)
    assert changed.shimmer == pytest.approx(plain.shimmer, rel=0.02)
    assert changed.hnr_db == pytest.approx(plain.hnr_db, abs=0.2)


def test_praats_numbers_are_praats() -> None:
    pytest.importorskip("parselmouth")
    import parselmouth
    from parselmouth.praat import call

    samples, _ = make_voice(140.0, jitter=0.012, shimmer=0.04, hnr_db=22.0)
    voice = open_meter("praat").voice(samples, RATE)
    sound = parselmouth.Sound(samples.astype(np.float64), RATE)
    points = call(sound, "To PointProcess (periodic, cc)", 60, 500)
    assert voice.jitter == call(points, "Get jitter (local)", 0, 0, 0.0001, 0.02, 1.3)
    assert voice.shimmer == call([sound, points], "Get shimmer (local)", 0, 0, 0.0001, 0.02, 1.3, 1.6)
    harmonicity = call(sound, "To Harmonicity (cc)", 0.01, 60, 0.1, 1.0)
    assert voice.hnr_db == call(harmonicity, "Get mean", 0, 0)
    pitch = call(sound, "To Pitch (cc)", 0.01, 60, 15, "no", 0.03, 0.45, 0.01, 0.35, 0.14, 500)
    for frame in (20, 77, 150):
        heard = call(pitch, "Get value at time", 0.01 * frame + 0.005, "Hertz", "nearest")
        assert voice.f0_hz[frame] == pytest.approx(heard, rel=0.002)


@pytest.mark.parametrize(("name", "said"), [("praat", "GPL-3"), ("opensmile", "research only")])
def test_whoever_switches_on_another_licence_is_told(
    name: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip(PACKAGES[name])
    with caplog.at_level(logging.WARNING):
        assert open_meter(name).name == name
    (record,) = caplog.records
    assert said in record.getMessage()


@pytest.mark.parametrize("name", ["librosa", "praat", "opensmile"])
def test_what_is_not_installed_is_said_with_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    with pytest.raises(SettingsError, match=rf"pip install 'kuaimei\[{name}\]'"):
        open_meter(name)


def test_an_unknown_meter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="own, librosa, praat, opensmile"):
        open_meter("ears")
    assert EXTRACTOR
    assert open_meter("own").name == "own"
