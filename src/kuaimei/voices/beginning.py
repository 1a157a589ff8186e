"""Which stock voice is nearest, where no encoder can tell."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.types import Language
from kuaimei.voices.types import Pitch

__all__ = ["nearest_by_pitch"]

_MEN_BELOW_HZ: Final = 160.0
"""Between the means of men (some 120 Hz) and women (some 200 Hz)."""


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
