"""The style that a voice begins with, before anything of it is learned."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.types import Language
from kuaimei.voices.types import Pitch

__all__ = ["nearest_by_pitch", "one_style"]

_MEN_BELOW_HZ: Final = 160.0
"""Between the means of men (some 120 Hz) and women (some 200 Hz)."""
_ROWS: Final = slice(20, 60)
"""Lengths in phonemes of what is said in a conversation."""


def one_style(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """One style for all lengths from a table ``(n, 256)`` that has one for each; shape ``(256,)``."""
    rows = table[_ROWS] if len(table) > 1 else table
    style: NDArray[np.float32] = (rows if len(rows) else table[-1:]).mean(axis=0).astype(np.float32)
    return style


def nearest_by_pitch(
    stock: Mapping[str, NDArray[np.float32]], pitch: Pitch | None, language: Language | None
) -> str:
    """The first stock voice of that language and, by its pitch, of that sex: where no encoder is installed.

    Kokoro's names begin with language and sex (``zf_``, ``zm_``, ``af_``, ``am_`` …).
    """
    sex = "m" if pitch is not None and pitch.mean_hz < _MEN_BELOW_HZ else "f"
    wanted = ("am_", "af_") if language == "en" else ("zm_", "zf_")
    beginning = wanted[sex == "f"]
    return next((name for name in stock if name.startswith(beginning)), next(iter(stock)))
