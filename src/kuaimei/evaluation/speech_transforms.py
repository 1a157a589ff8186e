"""Speech transforms: a clip made hesitant, trembling or lively in steps, which scores have to follow.

Pitch and tempo are changed by PSOLA (Moulines and Charpentier, "Pitch-synchronous waveform processing
techniques", Speech Communication 9, 1990) as implemented in Praat; pauses and energy here. Praat is an
optional extra (``pip install 'kuaimei[praat]'``) under the GPL-3.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.analysis.types import Score
from kuaimei.audio.pcm import Pcm, from_float, to_float
from kuaimei.errors import SettingsError

__all__ = ["SERIES", "STEPS", "Series", "add_pauses", "add_tremor", "open_praat", "widen_intonation"]

STEPS: Final = 5
"""Number of steps of increasing strength, beside the unmodified clip."""

Floats = NDArray[np.float64]

_SEED: Final = 7
_LOWEST_HZ: Final = 60.0
_HIGHEST_HZ: Final = 500.0
_TIER_S: Final = 0.005
_TREMBLE_HZ: Final = 8.0
_TREMBLE_ST: Final = 0.24
"""Amplitude of each step: the 1.2 semitones of the last one are clearly audible as trembling."""
_SLOWER: Final = 0.12
_FLATTER: Final = 0.17
_LIVELIER: Final = 0.16
_LOUDER: Final = 0.12
_SOFTEST_DB: Final = -25.0
"""Threshold below the loudest; softer frames are not part of speech energy and stay unchanged."""
_FURTHEST_DB: Final = 12.0
_FRAME_S: Final = 0.01
_SMOOTH_S: Final = 0.1
_PAUSE_S: Final = 0.4
_LONGER_S: Final = 0.1
_FADE_S: Final = 0.01
_APART_S: Final = 0.4
"""Minimum distance between two pauses, and from both ends."""


@dataclass(frozen=True, slots=True)
class Series:
    """One gradual change of speaking style.

    Attributes:
        name: Name of the change.
        score: Score that has to follow.
        rises: True if the score has to rise, False if it has to fall.
        shape: Function of a clip, its rate and a step (0: unmodified, but resynthesized like the others).
    """

    name: str
    score: Score
    rises: bool
    shape: Callable[[Pcm, int, int], Pcm]


def open_praat() -> ModuleType:
    """Import Praat as a library.

    Raises:
        SettingsError: If it is not installed.
    """
    try:
        import parselmouth  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise SettingsError("Praat is not installed (GPL-3); run: pip install 'kuaimei[praat]'") from None
    return parselmouth  # type: ignore[no-any-return, unused-ignore]


def add_pauses(pcm: Pcm, rate: int, step: int) -> Pcm:
    """Make speech hesitant: 12 % slower, 17 % flatter, and one more and longer pause for each step.

    Args:
        pcm: Int16 samples.
        rate: Sample rate in Hz.
        step: Strength, from 0 to `STEPS`.
    """
    spoken = _resynthesised(
        pcm, rate, lambda f0, _: f0.mean() + (f0 - f0.mean()) * (1.0 - _FLATTER * step), 1.0 + _SLOWER * step
    )
    return from_float(_broken(spoken, rate, step))


def add_tremor(pcm: Pcm, rate: int, step: int) -> Pcm:
    """Make the voice tremble: 0.24 semitones more pitch vibration at 8 Hz for each step.

    Args:
        pcm: Int16 samples.
        rate: Sample rate in Hz.
        step: Strength, from 0 to `STEPS`.
    """
    depth = _TREMBLE_ST * step
    return from_float(
        _resynthesised(pcm, rate, lambda f0, at: f0 + depth * np.sin(2.0 * np.pi * _TREMBLE_HZ * at))
    )


def widen_intonation(pcm: Pcm, rate: int, step: int) -> Pcm:
    """Make speech lively: intonation 16 % wider and loudness range 12 % wider for each step.

    Args:
        pcm: Int16 samples.
        rate: Sample rate in Hz.
        step: Strength, from 0 to `STEPS`.
    """
    wider = 1.0 + _LIVELIER * step
    spoken = _resynthesised(pcm, rate, lambda f0, _: f0.mean() + (f0 - f0.mean()) * wider)
    return from_float(_expanded(spoken, rate, 1.0 + _LOUDER * step))


SERIES: Final[Mapping[str, Series]] = {
    one.name: one
    for one in (
        Series("hesitant", "confidence", False, add_pauses),
        Series("trembling", "stability", False, add_tremor),
        Series("lively", "affability", True, widen_intonation),
    )
}


def _resynthesised(
    pcm: Pcm, rate: int, melody: Callable[[Floats, Floats], Floats], slower: float = 1.0
) -> Floats:
    """Resynthesize ``pcm`` with a new pitch contour, stretched by ``slower``.

    Args:
        pcm: Int16 samples.
        rate: Sample rate in Hz.
        melody: Maps semitones and seconds to semitones.
        slower: Factor of the duration.
    """
    praat = open_praat()
    call: Callable[..., Any] = praat.praat.call
    sound = praat.Sound(to_float(pcm).astype(np.float64), rate)
    length_s = len(pcm) / rate
    manipulation = call(sound, "To Manipulation", 0.01, _LOWEST_HZ, _HIGHEST_HZ)
    tier = call(manipulation, "Extract pitch tier")
    count = int(call(tier, "Get number of points"))
    if count:
        points = range(1, count + 1)
        at = np.array([call(tier, "Get time from index", i) for i in points])
        hz = np.array([call(tier, "Get value at index", i) for i in points])
        times = np.arange(at[0], at[-1] + _TIER_S, _TIER_S)
        semitones = melody(np.interp(times, at, 12.0 * np.log2(hz)), times)
        # Praat drops values outside the range; clipping keeps them.
        shaped = np.clip(2.0 ** (semitones / 12.0), _LOWEST_HZ, _HIGHEST_HZ)
        other = call("Create PitchTier", "other", 0.0, length_s)
        for when, value in zip(times.tolist(), shaped.tolist(), strict=True):
            call(other, "Add point", when, value)
        call([other, manipulation], "Replace pitch tier")
    pace = call("Create DurationTier", "pace", 0.0, length_s)
    call(pace, "Add point", length_s / 2.0, slower)
    call([pace, manipulation], "Replace duration tier")
    # In unvoiced parts PSOLA selects pieces at random; a fixed seed makes the result reproducible.
    praat.praat.run(f"random_initializeWithSeedUnsafelyButPredictably ({_SEED})")
    made: Floats = np.asarray(call(manipulation, "Get resynthesis (overlap-add)").values[0], np.float64)
    praat.praat.run("random_initializeSafelyAndUnpredictably ()")
    return made


def _levels_db(samples: Floats, rate: int) -> Floats:
    """Return the level of every 10 ms, smoothed over 100 ms; dB of full scale."""
    size = max(1, int(_FRAME_S * rate))
    count = max(1, len(samples) // size)
    padded = np.zeros(count * size)
    kept = min(len(samples), len(padded))
    padded[:kept] = samples[:kept]
    powers = np.square(padded.reshape(count, size)).mean(axis=1)
    window = np.hanning(int(_SMOOTH_S / _FRAME_S) + 2)[1:-1]
    smooth = np.convolve(powers, window / window.sum(), mode="same")[:count]
    levels: Floats = 10.0 * np.log10(np.maximum(smooth, 1e-10))
    return levels


def _expanded(samples: Floats, rate: int, factor: float) -> Floats:
    """Expand levels around their median by ``factor``; peaks stay below full scale."""
    levels = _levels_db(samples, rate)
    usual = float(np.median(levels[levels > levels.max() + _SOFTEST_DB]))
    gain_db = np.clip((factor - 1.0) * (levels - usual), -_FURTHEST_DB, _FURTHEST_DB)
    frames = (np.arange(len(levels)) + 0.5) * max(1, int(_FRAME_S * rate))
    made = samples * 10.0 ** (np.interp(np.arange(len(samples)), frames, gain_db) / 20.0)
    return made / max(1.0, float(np.abs(made).max(initial=0.0)) / 0.99)


def _broken(samples: Floats, rate: int, pauses: int) -> Floats:
    """Insert ``pauses`` silences at the softest positions, each longer the more there are."""
    if not pauses:
        return samples
    size = max(1, int(_FRAME_S * rate))
    levels = _levels_db(samples, rate)
    loud = np.flatnonzero(levels > levels.max() + _SOFTEST_DB)
    apart = int(_APART_S / _FRAME_S)
    free = np.zeros(len(levels), bool)
    free[loud[0] + apart : max(loud[0] + apart, loud[-1] - apart)] = True
    places: list[int] = []
    while len(places) < pauses and free.any():
        place = int(np.where(free, levels, np.inf).argmin())
        places.append(place)
        free[max(0, place - apart) : place + apart] = False
    silence = np.zeros(int((_PAUSE_S + _LONGER_S * pauses) * rate))
    fade = np.linspace(1.0, 0.0, max(1, int(_FADE_S * rate)))
    pieces: list[Floats] = []
    start = 0
    for place in sorted(places):
        piece = samples[start : place * size].copy()
        piece[-len(fade) :] *= fade[-len(piece) :]
        pieces += [piece, silence]
        start = place * size
    last = samples[start:].copy()
    if start:
        last[: len(fade)] *= fade[::-1][: len(last)]
    return np.concatenate([*pieces, last])
