"""Checks of length, loudness and clipping."""

from typing import Final

import numpy as np

from kuaimei.audio.pcm import to_float
from kuaimei.voices.enrolment.checks.messages import make_check
from kuaimei.voices.enrolment.speech_regions import HOP_S, RATE, SpeechRegions
from kuaimei.voices.types import Check, Verdict

__all__ = ["check_clipping", "check_loudness", "check_speech", "clipped_percent"]

_SHORTEST_S: Final = 3.0
_SHORT_S: Final = 6.0
_QUIET_DBFS: Final = -40.0
_TOO_QUIET_DBFS: Final = -52.0
"""16 bits leave some 40 dB between speech and its quantization noise there."""
_TOP: Final = 0.95
_VERY_TOP: Final = 0.98
_HIGH: Final = 0.9
_CLIPPED: Final = 0.03
_BADLY_CLIPPED: Final = 0.5
_MIN_CLIPPED_RUN: Final = 0.33


def check_speech(speech: SpeechRegions) -> Check:
    """Check the seconds of speech."""
    spoken_s = speech.speech_s
    verdict: Verdict = "refused" if spoken_s < _SHORTEST_S else "warning" if spoken_s < _SHORT_S else "ok"
    return make_check("speech", verdict, spoken_s, "s")


def check_loudness(speech: SpeechRegions) -> Check:
    """Check the RMS level of the speech, in dBFS."""
    power = 10.0 ** (speech.levels[speech.spoken()] / 10.0)
    dbfs = float(10.0 * np.log10(max(float(power.mean()), 1e-12))) if len(power) else -120.0
    verdict: Verdict = "refused" if dbfs < _TOO_QUIET_DBFS else "warning" if dbfs < _QUIET_DBFS else "ok"
    return make_check("loudness", verdict, dbfs, "dBFS")


def check_clipping(speech: SpeechRegions) -> Check:
    """Check the percentage of speech samples that are clipped."""
    percent = clipped_percent(speech)
    verdict: Verdict = "refused" if percent >= _BADLY_CLIPPED else "warning" if percent >= _CLIPPED else "ok"
    return make_check("clipping", verdict, percent, "%")


def clipped_percent(speech: SpeechRegions) -> float:
    """Return the percentage of speech samples at the peak, if they pile up there; else 0.

    The amplitudes of speech thin out towards the peak (Davenport 1952: nearly exponentially): of the
    samples above 90 % of the peak, one in ten lies above 98 %. Clipping, even if the file was attenuated or
    resampled afterwards, moves all higher ones there: half of them or more.
    """
    hop = round(RATE * HOP_S)
    size = to_float(speech.pcm[: len(speech.levels) * hop]).reshape(-1, hop)
    samples = np.abs(size[speech.spoken()])
    peak = float(samples.max()) if samples.size else 0.0
    if peak <= 0.0:
        return 0.0
    top = int(np.count_nonzero(samples >= _TOP * peak))
    very_top = int(np.count_nonzero(samples >= _VERY_TOP * peak))
    high = int(np.count_nonzero(samples >= _HIGH * peak))
    return 100.0 * top / samples.size if very_top >= _MIN_CLIPPED_RUN * high else 0.0
