"""Kokoro as the fast synthesizer: text in, trimmed and levelled clauses out."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts.kokoro.assets import Tokenizer, Voices, load_alphabet, load_voices
from kuaimei.engines.tts.kokoro.clause_synthesis import ClauseSynthesizer, Styles
from kuaimei.engines.tts.kokoro.g2p import load_phonemes
from kuaimei.engines.tts.kokoro.runtime import RATE, SIDE_BY_SIDE_FROM, KokoroRuntime
from kuaimei.engines.tts.kokoro.runtime_selection import cache_folder, choose_runtime, open_runtime
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.errors import WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.text.clauses import FOLLOWING, ClauseSegmenter, ClauseSizes, speech_length

__all__ = ["Kokoro", "open_kokoro"]

_SINGLE_PIECE_LENGTH: Final = 24.0
"""Spoken characters up to which a text is rendered in one piece; a conversation's clauses are shorter."""
_WARM_UP: Final = (("你好，", True), ("散步，Hello!", False))
_FOLLOWING: Final = ClauseSizes(sentence=10, pause=15, word_min=18, word_max=28, limit=32)
"""Clause sizes of a long text after its first clause: each piece adds about a second of silence to render."""


class Kokoro:
    """Synthesizer shared by all conversations.

    Args:
        runtime: Computes the network.
        alphabet: Converts phonemes to token ids.
        voices: The available voices.
        phonemes: Converts text to phonemes.
        cores: Scheduler of the cores.
    """

    sample_rate = RATE

    def __init__(
        self,
        runtime: KokoroRuntime,
        alphabet: Tokenizer,
        voices: Voices,
        phonemes: Callable[[str], str],
        cores: Scheduler,
    ) -> None:
        self._runtime = runtime
        self._voicing = ClauseSynthesizer(alphabet, voices, phonemes)
        self._cores = cores

    @property
    def runtime(self) -> str:
        """Name of the runtime that computes the network."""
        return self._runtime.name

    @property
    def voices(self) -> Sequence[str]:
        """Ids of the available voices; the first is the default."""
        return self._voicing.names

    @property
    def stock(self) -> Mapping[str, NDArray[np.float32]]:
        """See `kuaimei.engines.protocols.StyleVoiceBank`."""
        return self._voicing.stock

    def put_voice(self, voice_id: str, style: NDArray[np.float32]) -> None:
        """See `kuaimei.engines.protocols.StyleVoiceBank`."""
        self._voicing.put(voice_id, style)

    def drop_voice(self, voice_id: str) -> None:
        """See `kuaimei.engines.protocols.StyleVoiceBank`."""
        self._voicing.drop(voice_id)

    def tokens(self, text: str) -> tuple[int, ...]:
        """See `kuaimei.engines.protocols.StyleVoiceBank`."""
        return self._voicing.tokens(text)

    async def stream(self, req: TTSReq) -> AsyncGenerator[Pcm, None]:
        """Yield ``req.text`` spoken clause by clause, each with the pause after its punctuation.

        The first clause has all the cores to itself; the following ones are rendered in parallel if there are
        enough cores.

        Raises:
            EngineError: If the voice is unknown or synthesis failed; `QueueFull` if the queue was full or the
                deadline passed.
        """
        styles = self._voicing.styles(req.voice_id)
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
        """Synthesize once in each mode and discard the audio, so that the first reply is not delayed."""
        ticket = Ticket(priority=Priority.BACKGROUND)
        styles = self._voicing.styles()
        for text, alone in _WARM_UP:
            await self._speak(text, styles, TTSReq(text=text, ticket=ticket), alone=alone)
        await asyncio.to_thread(self._runtime.settle)

    def close(self) -> None:
        """Release the network."""
        self._runtime.close()

    async def _speak(self, clause: str, styles: Styles, req: TTSReq, *, alone: bool) -> Pcm:
        alone = alone or self._cores.capacity < SIDE_BY_SIDE_FROM
        units = self._cores.capacity if alone else 1
        return await run_on_cores(
            self._cores, req.ticket, units, self._render, clause, styles, req.speed, alone
        )

    def _render(self, clause: str, styles: Styles, speed: float, alone: bool) -> Pcm:
        """Render one clause, in a thread."""
        return self._voicing.speak(clause, styles, speed, partial(self._runtime.render, alone=alone))


@asynccontextmanager
async def open_kokoro(engine_context: EngineContext, source: EngineSource) -> AsyncIterator[Kokoro]:
    """Open Kokoro from the folder ``source.path``, warmed up.

    Raises:
        WeightsError: If a file is missing there.
        SettingsError: If the user's lexicon has a bad line.
    """
    folder, settings = source.path, engine_context.settings
    if folder is None or not folder.is_dir():
        raise WeightsError(f"the Kokoro folder {folder} does not exist; run: kuaimei models pull kokoro")

    def load() -> KokoroRuntime:
        name = choose_runtime(settings, folder)
        return open_runtime(name, folder, settings.engines.cores, cache_folder(settings))

    alphabet, voices = load_alphabet(folder), load_voices(folder)
    phonemes, runtime = await asyncio.gather(
        asyncio.to_thread(load_phonemes, settings.home / "lexicon.toml"), asyncio.to_thread(load)
    )
    engine = Kokoro(runtime, alphabet, voices, phonemes, engine_context.cores)
    try:
        await engine.warm_up()
        yield engine
    finally:
        engine.close()


def _clauses(text: str) -> list[str]:
    """Split ``text`` into pieces that are rendered separately: one, unless it is long."""
    if speech_length(text) <= _SINGLE_PIECE_LENGTH:
        return [text]
    cutter = ClauseSegmenter(first=FOLLOWING, following=_FOLLOWING)
    clauses = [*cutter.push(text), *cutter.flush()]
    if len(clauses) > 1 and speech_length(clauses[-1]) < FOLLOWING.sentence:
        clauses[-2:] = ["".join(clauses[-2:])]
    return clauses
