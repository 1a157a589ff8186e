"""Kokoro as the house's synthesiser: text in, trimmed and levelled clauses out."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.loudness import level
from kuaimei.audio.pcm import EMPTY, Pcm, from_float
from kuaimei.audio.silence import silence, trim_silence
from kuaimei.engines.computing import compute
from kuaimei.engines.scheduling import Lane
from kuaimei.engines.tts.kokoro.choosing import cache_folder, choose_runtime, open_runtime
from kuaimei.engines.tts.kokoro.phonemes import load_phonemes
from kuaimei.engines.tts.kokoro.runtime import RATE, Runtime, Utterance
from kuaimei.engines.tts.kokoro.weights import Alphabet, Voices, load_alphabet, load_voices
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.engines.workshop import Workshop
from kuaimei.errors import EngineError, WeightsError
from kuaimei.models.source import Source
from kuaimei.text.clauses import FOLLOWING, ClauseCutter, ClauseSizes, speech_length

__all__ = ["Kokoro", "open_kokoro"]

_ONE_BREATH: Final = 24.0
"""Spoken characters up to which a text is rendered in one piece; a conversation's clauses are shorter."""
_PAUSES_MS: Final = (("。！？!?…", 260.0), ("；：;:—", 180.0), ("，、,", 110.0), (".", 260.0))
"""Silence after a clause, by the mark it ends with."""
_RUNNING_ON_MS: Final = 15.0
"""Silence after a clause that was cut in the middle of a sentence."""
_WARM_UP: Final = (("你好，", True), ("散步，Hello!", False))
_FOLLOWING: Final = ClauseSizes(sentence=10, pause=15, word_min=18, word_max=28, limit=32)
"""Of a long text, after its first clause: every piece costs the network a second of silence besides."""

_Styles: TypeAlias = Callable[[int], NDArray[np.float32]]
"""Of one voice: number of phonemes to style."""


class Kokoro:
    """The synthesiser of all conversations.

    Args:
        runtime: Computes the network.
        alphabet: Phonemes to numbers.
        voices: Those at hand.
        phonemes: Text to phonemes.
        cores: The lane that lends cores.
    """

    sample_rate = RATE

    def __init__(
        self,
        runtime: Runtime,
        alphabet: Alphabet,
        voices: Voices,
        phonemes: Callable[[str], str],
        cores: Lane,
    ) -> None:
        self._runtime = runtime
        self._alphabet = alphabet
        self._stock = voices
        self._voices = voices  # replaced as a whole: whoever is speaking keeps those it began with
        self._phonemes = phonemes
        self._cores = cores

    @property
    def runtime(self) -> str:
        """Name of what computes the network."""
        return self._runtime.name

    @property
    def voices(self) -> Sequence[str]:
        """Ids of the voices at hand; the first is the default."""
        return self._voices.names

    @property
    def stock(self) -> Mapping[str, NDArray[np.float32]]:
        """See `kuaimei.engines.protocols.VoiceBank`."""
        return self._stock.tables

    def put_voice(self, voice_id: str, style: NDArray[np.float32]) -> None:
        """See `kuaimei.engines.protocols.VoiceBank`."""
        if voice_id in self._stock.tables:
            raise EngineError(f"{voice_id} is a voice that Kokoro came with; it cannot be replaced")
        try:
            self._voices = self._voices.with_voice(voice_id, style)
        except ValueError as error:
            raise EngineError(f"the voice {voice_id} cannot be spoken: {error}") from error

    def drop_voice(self, voice_id: str) -> None:
        """See `kuaimei.engines.protocols.VoiceBank`."""
        if voice_id not in self._stock.tables:
            self._voices = self._voices.without(voice_id)

    def tokens(self, text: str) -> tuple[int, ...]:
        """See `kuaimei.engines.protocols.VoiceBank`."""
        try:
            return self._alphabet.tokens(self._phonemes(text))
        except Exception as error:  # whatever reads text
            raise EngineError(f"{text[:40]!r} cannot be read: {error}") from error

    async def stream(self, req: TTSReq) -> AsyncGenerator[Pcm, None]:
        """``req.text`` spoken, one clause after the other, with the pause its punctuation asks for.

        The first clause has all the cores to itself; those that follow are rendered side by side.

        Raises:
            EngineError: If the voice is unknown or synthesis failed; `QueueFull` if there was no place or
                time for it.
        """
        voices = self._voices
        voice = req.voice_id or voices.names[0]
        if voice not in voices.tables:
            raise EngineError(f"no voice is called {voice!r}; there are: {', '.join(voices.names)}")
        styles = partial(voices.style, voice)
        clauses = _clauses(req.text)
        first = await self._speak(clauses[0], styles, req, alone=True)
        if len(first):
            yield first
        waiting = iter(clauses[1:])
        begun: deque[asyncio.Task[Pcm]] = deque()
        try:
            while True:
                while len(begun) <= self._cores.capacity and (clause := next(waiting, None)) is not None:
                    begun.append(asyncio.ensure_future(self._speak(clause, styles, req, alone=False)))
                if not begun:
                    return
                pcm = await begun[0]
                begun.popleft()
                if len(pcm):
                    yield pcm
        finally:
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)

    async def warm_up(self) -> None:
        """Speak to nobody, once in each way, so that the first listener does not wait for it."""
        ticket = Ticket(priority=Priority.BACKGROUND)
        styles = partial(self._voices.style, self._voices.names[0])
        for text, alone in _WARM_UP:
            await self._speak(text, styles, TTSReq(text=text, ticket=ticket), alone=alone)

    def close(self) -> None:
        """Let go of the network."""
        self._runtime.close()

    async def _speak(self, clause: str, styles: "_Styles", req: TTSReq, *, alone: bool) -> Pcm:
        units = self._cores.capacity if alone else 1
        return await compute(self._cores, req.ticket, units, self._render, clause, styles, req.speed, alone)

    def _render(self, clause: str, styles: "_Styles", speed: float, alone: bool) -> Pcm:
        """One clause, in a thread."""
        try:
            tokens = self._alphabet.tokens(self._phonemes(clause))
            parts = []
            for piece in self._alphabet.pieces(tokens):
                style = styles(len(piece))
                padded = np.array([0, *piece, 0], np.int64)
                samples = self._runtime.render(Utterance(padded, style, speed), alone=alone)
                parts.append(trim_silence(from_float(samples), RATE))
        except Exception as error:  # whatever a runtime throws
            raise EngineError(f"the synthesiser failed on {clause[:40]!r}: {error}") from error
        if not any(len(part) for part in parts):
            return EMPTY
        return np.concatenate([level(np.concatenate(parts), RATE), silence(_pause_ms(clause) / speed, RATE)])


@asynccontextmanager
async def open_kokoro(workshop: Workshop, source: Source) -> AsyncIterator[Kokoro]:
    """Kokoro from the folder ``source.path``, warmed.

    Raises:
        WeightsError: If something is missing there.
        SettingsError: If the user's lexicon has a bad line.
    """
    folder, settings = source.path, workshop.settings
    if folder is None or not folder.is_dir():
        raise WeightsError(f"there is no folder of Kokoro's at {folder}; run: kuaimei models pull kokoro")

    def load() -> Runtime:
        name = choose_runtime(settings, folder)
        return open_runtime(name, folder, settings.engines.cores, cache_folder(settings))

    alphabet, voices = load_alphabet(folder), load_voices(folder)
    phonemes, runtime = await asyncio.gather(
        asyncio.to_thread(load_phonemes, settings.home / "lexicon.toml"), asyncio.to_thread(load)
    )
    engine = Kokoro(runtime, alphabet, voices, phonemes, workshop.cores)
    try:
        await engine.warm_up()
        yield engine
    finally:
        engine.close()


def _clauses(text: str) -> list[str]:
    """``text`` in pieces to be rendered apart: one, unless it is long."""
    if speech_length(text) <= _ONE_BREATH:
        return [text]
    cutter = ClauseCutter(first=FOLLOWING, following=_FOLLOWING)
    clauses = [*cutter.push(text), *cutter.flush()]
    if len(clauses) > 1 and speech_length(clauses[-1]) < FOLLOWING.sentence:
        clauses[-2:] = ["".join(clauses[-2:])]
    return clauses


def _pause_ms(clause: str) -> float:
    """Silence after ``clause`` by the last mark in it that nothing spoken follows."""
    for char in reversed(clause.rstrip()):
        if char.isalnum():
            return _RUNNING_ON_MS
        for marks, pause_ms in _PAUSES_MS:
            if char in marks:
                return pause_ms
    return _RUNNING_ON_MS
