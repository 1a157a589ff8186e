"""Serialization of voice files: PCM and styles to bytes and back."""

import io
from typing import Final

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.errors import StoreError
from kuaimei.voices.enrolment.speech_regions import RATE

__all__ = [
    "encode_flac",
    "read_flac",
    "read_style",
    "style_bytes",
    "wav",
]

_STYLE: Final = 256


def encode_flac(pcm: Pcm) -> bytes:
    """Encode ``pcm`` (at `kuaimei.voices.enrolment.speech_regions.RATE`) as FLAC."""
    file = io.BytesIO()
    soundfile.write(file, pcm, RATE, "PCM_16", format="FLAC")
    return file.getvalue()


def read_flac(data: bytes) -> Pcm:
    """Decode what `encode_flac` made.

    Raises:
        StoreError: If it is damaged.
    """
    try:
        pcm: Pcm = soundfile.read(io.BytesIO(data), dtype="int16")[0]
    except soundfile.LibsndfileError as error:
        raise StoreError(f"a recording of a voice is damaged: {error}") from error
    return pcm


def style_bytes(style: NDArray[np.float32]) -> bytes:
    """Serialize a style of shape ``(256,)`` as ``.npy``."""
    file = io.BytesIO()
    np.save(file, style.astype(np.float32), allow_pickle=False)
    return file.getvalue()


def read_style(data: bytes) -> NDArray[np.float32]:
    """Read a style written by `style_bytes` or by training.

    Raises:
        StoreError: If it is damaged.
    """
    try:
        style = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise StoreError(f"a style is damaged: {error}") from error
    if style.shape != (_STYLE,) or not np.isfinite(style).all():
        raise StoreError(f"a style must have {_STYLE} finite numbers, not shape {style.shape}")
    read: NDArray[np.float32] = style.astype(np.float32)
    return read


def wav(pcm: Pcm) -> bytes:
    """Encode ``pcm`` (at `kuaimei.voices.enrolment.speech_regions.RATE`) as WAV."""
    file = io.BytesIO()
    soundfile.write(file, pcm, RATE, "PCM_16", format="WAV")
    return file.getvalue()
