import numpy as np
import pytest

from kuaimei.engines.speaker.features import (
    FLOOR,
    fbank,
    kaldi_filters,
    power_mel,
    slaney_filters,
)


def tone(hz: float, seconds: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    t = np.arange(int(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def test_slaney_triangles_have_the_same_area_and_rise_where_the_scale_says() -> None:
    filters = slaney_filters(16_000, 4096)
    assert filters.shape == (40, 2049)
    np.testing.assert_allclose(filters.sum(axis=1) * 16_000 / 4096, 1.0, atol=0.02)
    peaks = filters.argmax(axis=1) * 16_000 / 4096
    mel = np.where(peaks < 1000, peaks * 3 / 200, 15 + np.log(np.maximum(peaks, 1) / 1000) * 27 / np.log(6.4))
    np.testing.assert_allclose(np.diff(mel), np.diff(mel).mean(), atol=0.15)


def test_the_same_bands_at_two_rates() -> None:
    narrow, wide = slaney_filters(16_000, 400), slaney_filters(24_000, 600)
    np.testing.assert_allclose(wide[:, :201], narrow, atol=1e-7)
    assert not wide[:, 202:].any()


def test_kaldi_triangles_are_equally_wide_on_its_scale() -> None:
    filters = kaldi_filters(16_000, 8192)
    peaks = 1127 * np.log1p(filters.argmax(axis=1) * 16_000 / 8192 / 700)
    np.testing.assert_allclose(np.diff(peaks), np.diff(peaks).mean(), rtol=0.12)
    assert filters.max() == pytest.approx(1.0, abs=0.1)


def test_a_tone_is_in_its_band() -> None:
    for hz in (300.0, 1000.0, 3000.0):
        mel, bank = power_mel(tone(hz)), fbank(tone(hz, 0.5) + 1e-4)
        assert mel.shape == (101, 40)
        assert bank.shape == (48, 80)
        assert slaney_filters(16_000, 400)[mel[50].argmax(), round(hz / 40)] > 0


def test_fbank_does_not_hear_the_level_and_has_no_mean() -> None:
    rng = np.random.default_rng(2)
    noise = (rng.standard_normal(16_000) * 0.1).astype(np.float32)
    np.testing.assert_allclose(fbank(noise), fbank(noise * np.float32(0.25)), atol=1e-3)
    np.testing.assert_allclose(fbank(noise).mean(axis=0), 0.0, atol=1e-5)


def test_digital_silence_counts_as_the_floor() -> None:
    half = np.concatenate([np.zeros(8_000, np.float32), tone(500.0, 0.5)])
    bank = fbank(half)
    assert np.isfinite(bank).all()
    assert np.ptp(bank[:40], axis=0).max() == pytest.approx(0.0, abs=1e-5)
    assert np.log(FLOOR) == pytest.approx(-15.94, abs=0.01)
