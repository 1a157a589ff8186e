"""Check of the number of speakers."""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.voices.enrolment.checks.messages import make_check, unmeasured
from kuaimei.voices.enrolment.speech_regions import RATE, SpeechRegions
from kuaimei.voices.types import Check, Verdict

__all__ = ["Encoder", "check_speakers", "speaker_separation"]

_WINDOW_S: Final = 1.6
"""Window length that GE2E was trained on."""
_HOP_S: Final = 0.8
_WINDOWS: Final = 120
_FEWEST: Final = 4
_SMALLEST: Final = 0.15
"""Minimum share of the windows for a second voice: single odd windows are laughs and coughs."""
_ROUNDS: Final = 10
_DOUBTFUL: Final = 0.8
_DIFFERENT: Final = 0.72
"""Halves of one speaker's clip, acted or not, lie above 0.9 (0.8 in noise or music); joined clips of two
speakers lie between 0.51 and 0.74."""


class Encoder(Protocol):
    """Speaker encoder; see `kuaimei.engines.speaker.SpeakerEncoder`."""

    def embed(self, pcm: Pcm, rate: int) -> NDArray[np.float32]:
        """Return the speaker embedding of ``pcm``, shape ``(d,)``, length 1."""
        ...


def check_speakers(speech: SpeechRegions, encoder: Encoder | None) -> Check:
    """Check the GE2E cosine of the two most different voices in the recording; blocks for a second or two."""
    if encoder is None:
        return unmeasured("speakers")
    pieces = [speech.cut(span) for span in speech.spans]
    spoken = np.concatenate(pieces) if pieces else speech.pcm[:0]
    size = int(_WINDOW_S * RATE)
    starts = np.arange(0, len(spoken) - size + 1, int(_HOP_S * RATE))
    if len(starts) < _FEWEST:
        return unmeasured("speakers")
    if len(starts) > _WINDOWS:
        starts = starts[np.linspace(0, len(starts) - 1, _WINDOWS).astype(int)]
    embedded = np.stack([encoder.embed(spoken[at : at + size], RATE) for at in starts])
    cosine = speaker_separation(embedded)
    verdict: Verdict = "refused" if cosine < _DIFFERENT else "warning" if cosine < _DOUBTFUL else "ok"
    return make_check("speakers", verdict, cosine, "cosine")


def speaker_separation(embedded: NDArray[np.float32]) -> float:
    """Return the cosine between the centres of the two clusters of ``embedded`` (n, d; rows of length 1).

    Spherical k-means (Dhillon & Modha 2001) for two, initialized with the two least similar rows; 1.0 if
    one of them has too few windows to be a voice.
    """
    alike = embedded @ embedded.T
    first, second = np.unravel_index(int(np.argmin(alike)), alike.shape)
    centres = embedded[[first, second]]
    for _ in range(_ROUNDS):
        nearer = np.argmax(embedded @ centres.T, axis=1)
        sums = np.stack([embedded[nearer == k].sum(axis=0) for k in range(2)])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        if not norms.all():
            return 1.0
        centres = sums / norms
    shares = np.bincount(nearer, minlength=2) / len(nearer)
    return float(centres[0] @ centres[1]) if shares.min() >= _SMALLEST else 1.0
