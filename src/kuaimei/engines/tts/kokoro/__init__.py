"""Kokoro-82M on this machine: Mandarin and English, also within one sentence."""

from kuaimei.engines.tts.kokoro.engine import Kokoro, open_kokoro
from kuaimei.engines.tts.kokoro.runtime_selection import measure

__all__ = ["Kokoro", "measure", "open_kokoro"]
