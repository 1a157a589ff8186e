"""The voices that a person may use: the engine's stock voices, their own clones and shared clones."""

from collections.abc import Iterator, Sequence
from typing import Final, overload

from kuaimei.engines.protocols import StyleVoiceBank
from kuaimei.server.protocols import AppRuntime

__all__ = ["UsableVoices", "stock_voices"]

_CLONED: Final = "voice_"
"""Prefix of the ids of cloned voices."""


def stock_voices(runtime: AppRuntime) -> Sequence[str]:
    """Return the voices that the synthesizer comes with."""
    synthesizer = runtime.engines.synthesizer
    if isinstance(synthesizer, StyleVoiceBank):
        return tuple(synthesizer.stock)
    return tuple(voice for voice in synthesizer.voices if not voice.startswith(_CLONED))


class UsableVoices(Sequence[str]):
    """Live sequence of the voice ids that a person may use now, stock voices first.

    Voices cloned or shared later appear in it.

    Args:
        runtime: Provides the synthesizer and the cloned voices.
        person: Id of the person.
    """

    def __init__(self, runtime: AppRuntime, person: str) -> None:
        self._runtime = runtime
        self._person = person

    @property
    def default(self) -> str:
        """Voice used if none is chosen: the configured one if it may be used, else the first."""
        configured = self._runtime.settings.voice
        return configured if configured in self else self[0]

    def __contains__(self, voice: object) -> bool:
        if not isinstance(voice, str) or voice not in self._runtime.engines.synthesizer.voices:
            return False
        return self._usable(voice, stock_voices(self._runtime))

    def __len__(self) -> int:
        return len(self._now())

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._now()[index]

    def _now(self) -> Sequence[str]:
        stock = stock_voices(self._runtime)
        voices = self._runtime.engines.synthesizer.voices
        return [voice for voice in voices if self._usable(voice, stock)]

    def _usable(self, voice: str, stock: Sequence[str]) -> bool:
        """Return whether it is a stock voice or the library allows it; unknown voices are not usable."""
        library = self._runtime.voices
        return voice in stock or (library is not None and library.may_use(voice, self._person))
