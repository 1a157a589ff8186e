"""Speaker similarity, relative to a stock voice (floor) and to the speaker's own recording (ceiling)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.speaker import SpeakerEncoder

__all__ = ["Likeness", "cosine", "embed_all", "likeness"]


@dataclass(frozen=True, slots=True)
class Likeness:
    """Similarity by one encoder.

    Attributes:
        mean: Mean over the sentences.
        least: Minimum over the sentences.
        ceiling: Similarity of the speaker's own two halves, the upper bound.
        floor: Similarity of the nearest stock voice, the level without training; None: not known.
    """

    mean: float
    least: float
    ceiling: float
    floor: float | None = None

    @property
    def reached(self) -> float | None:
        """Position of the mean between floor (0) and ceiling (1); None without a floor below the ceiling."""
        if self.floor is None or self.ceiling <= self.floor:
            return None
        return (self.mean - self.floor) / (self.ceiling - self.floor)


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the cosine of the angle between two embeddings, in [-1, 1]; 0 if one of them is zero."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.dot(a, b)) / norms if norms > 0.0 else 0.0


def embed_all(encoder: SpeakerEncoder, clips: Sequence[Pcm], rate: int) -> NDArray[np.float32]:
    """Embed all ``clips``; shape ``(clips, d)``. Blocks.

    Args:
        encoder: Speaker encoder.
        clips: Int16 samples.
        rate: Sample rate of the clips in Hz.
    """
    return np.stack([encoder.embed(clip, rate) for clip in clips])


def likeness(
    spoken: NDArray[np.float32],
    unseen: NDArray[np.float32],
    seen: NDArray[np.float32],
    *,
    stock: NDArray[np.float32] | None = None,
) -> Likeness:
    """Compare the voice of ``spoken`` with that of the speaker.

    It is compared with the half of the reference that was not used for fitting: against the very clip it was
    fitted to, the channel of the recording would count as similarity.

    Args:
        spoken: Embeddings of the sentences, shape ``(n, d)``.
        unseen: Embedding of the held-out half, shape ``(d,)``.
        seen: Embedding of the half that was fitted to, shape ``(d,)``.
        stock: Embeddings of the same sentences in the nearest stock voice, shape ``(m, d)``.
    """
    scores = [cosine(row, unseen) for row in spoken]
    floor = None if stock is None else float(np.mean([cosine(row, unseen) for row in stock]))
    return Likeness(float(np.mean(scores)), min(scores), cosine(seen, unseen), floor)
