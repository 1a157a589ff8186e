"""Text to finished audio in a voice: the part that fast and HQ Kokoro share."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.loudness import normalize_loudness
from kuaimei.audio.pcm import EMPTY, Pcm, from_float
from kuaimei.audio.silence import silence, trim_silence
from kuaimei.engines.tts.kokoro.assets import Tokenizer, Voices
from kuaimei.engines.tts.kokoro.runtime import RATE, SynthesisInput
from kuaimei.errors import EngineError
from kuaimei.system.failures import words_of

__all__ = ["ClauseSynthesizer", "Network", "Styles", "SynthesisStopped"]

Network: TypeAlias = Callable[[SynthesisInput], NDArray[np.float32]]
"""Renders one piece: samples at `RATE`."""
Styles: TypeAlias = Callable[[int], NDArray[np.float32]]
"""Returns the style of one voice for a number of phonemes."""

_PAUSES_MS: Final = (("。！？!?…", 260.0), ("；：;:—", 180.0), ("，、,", 110.0), (".", 260.0))
"""Silence after a clause, by its final mark."""
_RUNNING_ON_MS: Final = 15.0
"""Silence after a clause that was cut in the middle of a sentence."""


class SynthesisStopped(Exception):
    """Raised by a network that was stopped in the middle of a piece."""


class ClauseSynthesizer:
    """Holds the voices and synthesizes text, independently of the network's runtime.

    Args:
        alphabet: Converts phonemes to token ids.
        voices: The available voices.
        phonemes: Converts text to phonemes.
    """

    def __init__(self, alphabet: Tokenizer, voices: Voices, phonemes: Callable[[str], str]) -> None:
        self._alphabet = alphabet
        self._stock = voices.stock
        self._voices = voices  # replaced as a whole: speech in progress keeps the voices it started with
        self._phonemes = phonemes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the voices: the default first, those added at run time last."""
        return self._voices.names

    @property
    def stock(self) -> Mapping[str, NDArray[np.float32]]:
        """See `kuaimei.engines.protocols.StyleVoiceBank`."""
        return self._stock

    def put(self, voice_id: str, style: NDArray[np.float32]) -> None:
        """See `kuaimei.engines.protocols.StyleVoiceBank.put_voice`."""
        if voice_id in self._stock:
            raise EngineError(f"{voice_id} is a stock voice of Kokoro; it cannot be replaced")
        try:
            self._voices = self._voices.with_voice(voice_id, style)
        except ValueError as error:
            raise EngineError(f"the voice {voice_id} cannot be used: {error}") from error

    def drop(self, voice_id: str) -> None:
        """See `kuaimei.engines.protocols.StyleVoiceBank.drop_voice`."""
        if voice_id not in self._stock:
            self._voices = self._voices.without(voice_id)

    def styles(self, voice_id: str = "") -> Styles:
        """Return the current styles of a voice; of the default voice if ``voice_id`` is empty.

        Raises:
            EngineError: If there is no such voice.
        """
        voices = self._voices
        voice = voice_id or voices.names[0]
        if voice not in voices.names:
            raise EngineError(f"unknown voice {voice!r}; available: {', '.join(voices.names)}")
        return partial(voices.style, voice)

    def tokens(self, text: str) -> tuple[int, ...]:
        """See `kuaimei.engines.protocols.StyleVoiceBank`."""
        try:
            return self._alphabet.tokens(self._phonemes(text))
        except Exception as error:  # the g2p libraries raise arbitrary exceptions
            raise EngineError(
                f"{_size(text)} cannot be converted to phonemes ({words_of(error, text)})"
            ) from error

    def speak(self, clause: str, styles: Styles, speed: float, network: Network) -> Pcm:
        """Synthesize a clause, trimmed, levelled, and with the pause after its punctuation; runs in a thread.

        Args:
            clause: Text as on the screen.
            styles: Styles of the voice.
            speed: Relative to the voice's own pace, which is 1.0.
            network: Renders one piece.

        Raises:
            EngineError: If the network failed.
            SynthesisStopped: If it was stopped.
        """
        try:
            tokens = self._alphabet.tokens(self._phonemes(clause))
            parts = []
            for piece in self._alphabet.pieces(tokens):
                padded = np.array([0, *piece, 0], np.int64)
                samples = network(SynthesisInput(padded, styles(len(piece)), speed))
                parts.append(trim_silence(from_float(samples), RATE))
        except SynthesisStopped:
            raise
        except Exception as error:  # the runtimes raise arbitrary exceptions
            raise EngineError(
                f"the synthesizer failed on {_size(clause)} ({words_of(error, clause)})"
            ) from error
        if not any(len(part) for part in parts):
            return EMPTY
        return np.concatenate(
            [normalize_loudness(np.concatenate(parts), RATE), silence(_pause_ms(clause) / speed, RATE)]
        )


def _size(text: str) -> str:
    """Describe ``text`` for an error message without quoting it, because it may be private."""
    return f"a text of {len(text)} characters"


def _pause_ms(clause: str) -> float:
    """Return the silence after ``clause``, by the last mark in it that no spoken character follows."""
    for char in reversed(clause.rstrip()):
        if char.isalnum():
            return _RUNNING_ON_MS
        for marks, pause_ms in _PAUSES_MS:
            if char in marks:
                return pause_ms
    return _RUNNING_ON_MS
