"""How alike two voices sound, between what a stranger reaches and what the speaker reaches."""

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
        mean: Over the sentences.
        least: Of the worst sentence.
        ceiling: The speaker's own two halves: more cannot be asked for.
        floor: The nearest stock voice: what there is without learning anything; None: not known.
    """

    mean: float
    least: float
    ceiling: float
    floor: float | None = None

    @property
    def reached(self) -> float | None:
        """Where the mean lies between floor (0) and ceiling (1); None without a floor below the ceiling."""
        if self.floor is None or self.ceiling <= self.floor:
            return None
        return (self.mean - self.floor) / (self.ceiling - self.floor)


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Cosine of the angle between two embeddings, in [-1, 1]; 0 if one of them is nothing."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.dot(a, b)) / norms if norms > 0.0 else 0.0


def embed_all(encoder: SpeakerEncoder, clips: Sequence[Pcm], rate: int) -> NDArray[np.float32]:
    """Embeddings of all ``clips``; shape ``(clips, d)``. Blocks."""
    return np.stack([encoder.embed(clip, rate) for clip in clips])


def likeness(
    spoken: NDArray[np.float32],
    unseen: NDArray[np.float32],
    seen: NDArray[np.float32],
    *,
    stock: NDArray[np.float32] | None = None,
) -> Likeness:
    """How far the voice of ``spoken`` is that of the speaker.

    It is compared with the half of the reference that no fitting has seen: against the very clip it was
    fitted to, the channel of the recording would count as likeness.

    Args:
        spoken: Of the sentences, shape ``(n, d)``.
        unseen: Of the held-out half, shape ``(d,)``.
        seen: Of the half that was fitted to, shape ``(d,)``.
        stock: Of the same sentences in the nearest stock voice, shape ``(m, d)``.
    """
    scores = [cosine(row, unseen) for row in spoken]
    floor = None if stock is None else float(np.mean([cosine(row, unseen) for row in stock]))
    return Likeness(float(np.mean(scores)), min(scores), cosine(seen, unseen), floor)
