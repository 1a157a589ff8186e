"""Whether more than one person is speaking."""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.voices.enrolment.checks.messages import make_check, unmeasured
from kuaimei.voices.enrolment.speech_regions import RATE, SpeechRegions
from kuaimei.voices.types import Check, Verdict

__all__ = ["Encoder", "check_speakers", "speaker_separation"]

_WINDOW_S: Final = 1.6
"""What GE2E was trained on."""
_HOP_S: Final = 0.8
_WINDOWS: Final = 120
_FEWEST: Final = 4
_SMALLEST: Final = 0.15
"""Share of the windows that a second voice must have: single odd windows are laughs and coughs."""
_ROUNDS: Final = 10
_DOUBTFUL: Final = 0.8
_DIFFERENT: Final = 0.72
"""Halves of one speaker's clip, acted or not, lie above 0.9 (0.8 in noise or music); clips of two speakers
joined between 0.51 and 0.74."""


class Encoder(Protocol):
    """As `kuaimei.engines.speaker.SpeakerEncoder`."""

    def embed(self, pcm: Pcm, rate: int) -> NDArray[np.float32]:
        """The voice, shape ``(d,)``, length 1."""
        ...


def check_speakers(speech: SpeechRegions, encoder: Encoder | None) -> Check:
    """Cosine between the two most different voices in the recording, by GE2E; blocks for a second or two."""
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
    """Cosine between the centres of the two voices that ``embedded`` (n, d; rows of length 1) falls into.

    Spherical k-means (Dhillon & Modha 2001) for two, begun at the two rows that are least alike; 1.0 if
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
