import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.vad.webrtc import WebRtcVad


def _voice(frames: int) -> Pcm:
    t = np.arange(frames * 480) / 16_000
    wave = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 25))
    return (wave * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)) * 6000).clip(-32768, 32767).astype(np.int16)


def _run(vad: WebRtcVad, pcm: np.ndarray) -> list[float]:
    return [vad.probability(pcm[start : start + 480]) for start in range(0, len(pcm), 480)]


def test_a_voice_rises_above_the_threshold_and_silence_falls_below_it() -> None:
    vad = WebRtcVad()
    assert max(_run(vad, np.zeros(480 * 20, np.int16))) < 0.5
    assert _run(vad, _voice(20))[-1] > 0.9
    assert _run(vad, np.zeros(480 * 40, np.int16))[-1] < 0.1


def test_probabilities_are_smoothed() -> None:
    vad = WebRtcVad()
    _run(vad, _voice(20))
    falling = _run(vad, np.zeros(480 * 40, np.int16))
    assert all(0.0 <= p <= 1.0 for p in falling)
    assert any(0.05 < p < 0.95 for p in falling)


def test_reset_forgets_what_was_heard() -> None:
    vad = WebRtcVad()
    first = _run(vad, _voice(10))
    vad.reset()
    assert _run(vad, _voice(10)) == first


def test_a_frame_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="480 samples"):
        WebRtcVad().probability(np.zeros(512, np.int16))
