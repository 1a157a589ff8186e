"""The silence at both ends of what Kokoro says: it is cut away in the end, and need not be computed.

Kokoro begins every piece with some 0.4 s of silence and ends it with some 0.9 s, by which a first clause of
five characters is longer by half. What comes before the vocoder is cheap, and says where sound will be.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Features", "Kept", "audible"]

_SILENT: Final = -6.0
"""Predicted energy (logarithmic) under which nothing is heard: sound is at 2 to 9, silence at -8 to -10, and
-2 is some 50 dB under the loudest."""
_BEFORE: Final = 6
_AFTER: Final = 8
"""Frames that are kept besides. Wider margins bring what is heard nearer to that of the whole, slowly."""
_STANDING_IN: Final = (2.0, 5.0)
"""Frames from the cut, between which silence stands for that left out: out of reach of cut and sound."""
_PLACES: Final = 120
"""… in so many places: upsampling leaves patterns in what is silent, of which every part has to count."""
_HALVES: Final = 2
"""Of pitch and energy for each frame of 25 ms."""
_HOPS: Final = 120
"""Of the harmonic source's spectrum for each frame; there is one more at the end."""


class Features(NamedTuple):
    """What the vocoder makes sound of.

    Attributes:
        style: Of the decoder, shape ``(1, 128)``.
        pitch: In Hz, shape ``(1, 1, 2n)`` for ``n`` frames of 25 ms.
        energy: Logarithmic, shape ``(1, 2n)``.
        phonemes: Laid out in time, shape ``(1, 512, n)``.
        source: Spectrum of the harmonic source, shape ``(1, 22, 120n + 1)``.
    """

    style: NDArray[np.float32]
    pitch: NDArray[np.float32]
    energy: NDArray[np.float32]
    phonemes: NDArray[np.float32]
    source: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Kept:
    """The frames that are computed.

    Attributes:
        start: The first.
        stop: One past the last.
        frames: That there were.
    """

    start: int
    stop: int
    frames: int

    def of(self, features: Features) -> Features:
        """``features`` of these frames, views."""
        start, stop = self.start, self.stop
        return Features(
            features.style,
            features.pitch[..., _HALVES * start : _HALVES * stop],
            features.energy[..., _HALVES * start : _HALVES * stop],
            features.phonemes[..., start:stop],
            features.source[..., _HOPS * start : _HOPS * stop + 1],
        )

    @property
    def left_out(self) -> NDArray[np.float32]:
        """For each place in `standing_in` the part of all frames that it stands for, shape ``(m,)``."""
        ends = np.array([self.start, self.frames - self.stop], np.float32)
        return np.repeat(ends / (_PLACES * self.frames), _PLACES)

    @property
    def standing_in(self) -> NDArray[np.float32]:
        """Where silence is like that left out, as parts of the length of what is kept, shape ``(m,)``."""
        nearest, farthest = _STANDING_IN
        inwards = nearest + (farthest - nearest) * (np.arange(_PLACES) + 0.5) / _PLACES
        parts = np.minimum(inwards / (self.stop - self.start), 0.5)
        return np.concatenate([parts, 1.0 - parts]).astype(np.float32)


def audible(features: Features) -> Kept:
    """Where something is heard in ``features``, with a margin; everything, if nothing is."""
    frames = features.phonemes.shape[-1]
    loud = np.flatnonzero(features.energy.reshape(-1) > _SILENT)
    if not len(loud):
        return Kept(0, frames, frames)
    first, last = int(loud[0]) // _HALVES, int(loud[-1]) // _HALVES
    return Kept(max(0, first - _BEFORE), min(frames, last + 1 + _AFTER), frames)
