"""Ears that are simple enough to know what they hear."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm

__all__ = ["PitchEncoder", "Rating"]


class PitchEncoder:
    """Hears voices as directions: 100 Hz one way, 300 Hz the other."""

    def __init__(self, name: str) -> None:
        self.name = name

    def embed(self, pcm: Pcm, rate: int) -> NDArray[np.float32]:
        crossings = np.count_nonzero((pcm[:-1] <= 0) & (pcm[1:] > 0)) / (len(pcm) / rate)
        angle = (crossings - 100.0) / 200.0 * np.pi / 2
        return np.array([np.cos(angle), np.sin(angle)], np.float32)


class Rating:
    """A network that gives everything the same scores."""

    def __init__(self, answer: Sequence[float]) -> None:
        self.answer = answer

    def run(self, output_names: list[str] | None, input_feed: dict[str, Any]) -> list[Any]:
        return [np.array([self.answer], np.float32)]
