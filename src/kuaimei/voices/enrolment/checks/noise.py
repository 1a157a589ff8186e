"""Checks of the pauses: background noise and music."""

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.loudness import signal_to_noise_db as ratio_db
from kuaimei.audio.pcm import to_float
from kuaimei.voices.enrolment.checks.messages import make_check, unmeasured
from kuaimei.voices.enrolment.speech_regions import HOP_S, RATE, SpeechRegions
from kuaimei.voices.types import Check, Verdict

__all__ = ["check_music", "check_noise", "music_percent", "signal_to_noise_db"]

_PAUSES_S: Final = 0.2
"""Minimum seconds of pauses for a measurement."""
_NOISY_DB: Final = 20.0
_TOO_NOISY_DB: Final = 10.0
_MUSIC_PERCENT: Final = 15.0
_ONLY_MUSIC_PERCENT: Final = 45.0
_AUDIBLE_DB: Final = 35.0
"""Range below the loudest speech; softer frames are not searched for music."""
_FRAME: Final = 2048
_LOW_HZ: Final = 150.0
"""Mains hum and its first harmonic are noise, not music."""
_HIGH_HZ: Final = 5000.0
_PEAK_DB: Final = 15.0
_STEADY: Final = 3
"""Number of frames (43 ms apart) in which a tone must keep its frequency."""


def check_noise(speech: SpeechRegions) -> Check:
    """Check the signal-to-noise ratio in dB."""
    ratio = signal_to_noise_db(speech)
    if ratio is None:
        return unmeasured("noise")
    verdict: Verdict = "refused" if ratio < _TOO_NOISY_DB else "warning" if ratio < _NOISY_DB else "ok"
    return make_check("noise", verdict, ratio, "dB")


def signal_to_noise_db(speech: SpeechRegions) -> float | None:
    """Return 10 log₁₀((S − N) / N), with S the power during speech and N the power in pauses.

    Without enough pauses N is the mean of the lowest 5 % of the power (minimum statistics, Martin 2001);
    None without speech.
    """
    power = 10.0 ** (speech.levels.astype(np.float64) / 10.0)
    spoken = power[speech.spoken()]
    if not len(spoken):
        return None
    pauses = power[speech.paused()]
    if len(pauses) * HOP_S < _PAUSES_S:
        pauses = power[power <= np.percentile(power, 5.0)]
    return ratio_db(float(spoken.mean()), float(pauses.mean()))


def check_music(speech: SpeechRegions) -> Check:
    """Check the percentage of the time outside speech in which there are steady tones."""
    percent = music_percent(speech)
    if percent is None:
        return unmeasured("music")
    verdict: Verdict = (
        "refused" if percent >= _ONLY_MUSIC_PERCENT else "warning" if percent >= _MUSIC_PERCENT else "ok"
    )
    return make_check("music", verdict, percent, "%")


def music_percent(speech: SpeechRegions) -> float | None:
    """Return the percentage of pause frames with a loud, sharp and steady tone; None without pauses.

    Sharp: 15 dB above the median of its surroundings (an octave to either side); steady: at the same
    frequency in three consecutive frames, unlike noise or the reverberation of a voice. After the tonal
    feature of speech/music discrimination (Saunders 1996; Scheirer & Slaney 1997).
    """
    pauses = speech.paused()
    if np.count_nonzero(pauses) * HOP_S < _PAUSES_S:
        return None
    spoken = speech.levels[speech.spoken()]
    loudest = float(spoken.max()) if len(spoken) else float(speech.levels.max())
    samples = to_float(speech.pcm)
    step = _FRAME // 2
    count = (len(samples) - _FRAME) // step + 1
    if count < _STEADY:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::step][:count]
    middles = ((np.arange(count) * step + _FRAME // 2) / (RATE * HOP_S)).astype(int)
    middles = np.minimum(middles, len(pauses) - 1)
    # The whole frame has to lie in the pause.
    reach = round(_FRAME / 2 / (RATE * HOP_S))
    still = np.array([pauses[max(0, at - reach) : at + reach + 1].all() for at in middles])
    if not still.any():
        return None
    audible = still & (speech.levels[middles] > loudest - _AUDIBLE_DB)
    tones = np.zeros((count, _FRAME // 2 + 1), bool)
    tones[audible] = _sharp(np.asarray(frames[audible]))
    steady = tones.copy()
    for shift in range(1, _STEADY):
        steady[shift:] &= _near(tones)[:-shift]
        steady[:shift] = False
    for _ in range(1, _STEADY):  # include the frames in which a steady tone began
        steady[:-1] |= steady[1:] & tones[:-1]
    return 100.0 * float(np.count_nonzero(steady.any(axis=1))) / float(np.count_nonzero(still))


def _sharp(frames: NDArray[np.float32]) -> NDArray[np.bool_]:
    window = np.hanning(_FRAME).astype(np.float32)
    power = 10.0 * np.log10(np.maximum(np.abs(np.fft.rfft(frames * window, axis=1)) ** 2, 1e-12))
    found = np.zeros(power.shape, bool)
    per_bin = RATE / _FRAME
    first, last = int(_LOW_HZ / per_bin), int(_HIGH_HZ / per_bin)
    edges = np.geomspace(first, last, 6).astype(int)
    for low, high in pairwise(edges.tolist()):
        around = power[:, max(1, low // 2) : min(power.shape[1], high * 2)]
        floor = np.median(around, axis=1, keepdims=True)
        here = power[:, low:high]
        peak = (here >= power[:, low - 1 : high - 1]) & (here >= power[:, low + 1 : high + 1])
        found[:, low:high] = peak & (here > floor + _PEAK_DB)
    return found


def _near(tones: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Widen ``tones`` by one bin (12 Hz) to each side, by which a tone may move between frames."""
    wide = tones.copy()
    wide[:, 1:] |= tones[:, :-1]
    wide[:, :-1] |= tones[:, 1:]
    return wide
