"""Kokoro-82M on this machine: Mandarin and English, also within one sentence."""

from kuaimei.engines.tts.kokoro.choosing import measure
from kuaimei.engines.tts.kokoro.engine import Kokoro, open_kokoro

__all__ = ["Kokoro", "measure", "open_kokoro"]
