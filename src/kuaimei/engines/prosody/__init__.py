"""Prosody extraction: the measured features of an utterance and the extractors of voice quality.

* ``own``: numpy alone, the default.
* ``librosa``: F0 by librosa's YIN (ISC licence), the rest as ``own``.
* ``praat``: Praat through parselmouth (GPL-3).
* ``opensmile``: openSMILE's eGeMAPSv02 (research licence: no commercial use).
"""

from collections.abc import Callable, Mapping
from typing import Final

from kuaimei.engines.prosody.librosa import LibrosaMeter
from kuaimei.engines.prosody.numpy_meter import NumpyVoiceQuality
from kuaimei.engines.prosody.opensmile import OpenSmileMeter
from kuaimei.engines.prosody.praat import PraatMeter
from kuaimei.engines.protocols import VoiceQualityExtractor
from kuaimei.errors import SettingsError

__all__ = ["EXTRACTOR", "METERS", "open_meter"]

EXTRACTOR: Final = "1"
"""Version of the extracted features; stored with the extractor's name beside every result."""

METERS: Final[Mapping[str, Callable[[], VoiceQualityExtractor]]] = {
    "own": NumpyVoiceQuality,
    "librosa": LibrosaMeter,
    "praat": PraatMeter,
    "opensmile": OpenSmileMeter,
}


def open_meter(name: str) -> VoiceQualityExtractor:
    """Create the extractor called ``name``.

    Raises:
        SettingsError: If there is none, or its dependencies are not installed.
    """
    if name not in METERS:
        raise SettingsError(f"unknown meter {name!r}; available: {', '.join(METERS)}")
    return METERS[name]()
