"""Adapter that runs a blocking engine on a thread of its own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, from_float
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.stream_relay import relayed
from kuaimei.errors import EngineError, KuaimeiError, SettingsError
from kuaimei.system.failures import words_of
from kuaimei.workers.types import BlockingTTSEngine, EngineRequest, TTSEngine

__all__ = ["Threaded", "open_in_thread"]

T = TypeVar("T")

_AHEAD_SAMPLES: Final = 16 * 1024 * 1024
"""Samples that may be buffered ahead of the consumer: eleven minutes at 24 kHz."""
_UNHEARD_S: Final = 30.0
"""Seconds after which a consumer that takes nothing from a full buffer is given up."""


class Threaded:
    """A `TTSEngine` that runs requests one after the other; a GPU is no faster with two at once.

    Args:
        engine: The blocking engine.
        thread: The thread on which it was opened: some libraries keep per-thread state.
        name: Name of the engine, for messages.
    """

    def __init__(self, engine: BlockingTTSEngine, thread: ThreadPoolExecutor, name: str) -> None:
        self._engine = engine
        self._thread = thread
        self._name = name
        self.scheduler = Scheduler(name)

    @property
    def sample_rate(self) -> int:
        """See `TTSEngine.sample_rate`."""
        return self._engine.sample_rate

    @property
    def voices(self) -> Sequence[str]:
        """See `TTSEngine.voices`."""
        return self._engine.voices

    async def stream(self, speech: EngineRequest) -> AsyncGenerator[Pcm, None]:
        """See `TTSEngine.stream`; if closed early, it stops after the piece being computed."""
        sound = relayed(
            self.scheduler.acquire(speech.ticket),
            lambda: self._speak(speech),
            limit=_AHEAD_SAMPLES,
            size=len,
            patience_s=_UNHEARD_S,
        )
        async with aclosing(sound):
            async for pcm in sound:
                yield pcm

    async def _speak(self, speech: EngineRequest) -> AsyncGenerator[Pcm, None]:
        pieces = self._engine.speak(speech)
        try:
            while (piece := await self._run(_next, pieces)) is not None:
                if piece.size:
                    yield from_float(np.ascontiguousarray(piece.reshape(-1), np.float32))
        except (KuaimeiError, asyncio.CancelledError):
            raise
        except Exception as error:  # packages raise arbitrary exceptions
            size, why = len(speech.text), words_of(error, speech.text)
            raise EngineError(f"{self._name} failed on a text of {size} characters ({why})") from error
        finally:
            await asyncio.shield(self._run(_close, pieces))

    async def _run(
        self, function: Callable[[Iterator[NDArray[np.float32]]], T], pieces: Iterator[NDArray[np.float32]]
    ) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, pieces)


@asynccontextmanager
async def open_in_thread(name: str, make: Callable[[], BlockingTTSEngine]) -> AsyncIterator[TTSEngine]:
    """Call ``make`` on a new thread and yield the engine as a `TTSEngine` that computes on that thread.

    Raises:
        SettingsError: If the package is not installed.
        EngineError: If the engine cannot be opened.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix=name)
    try:
        try:
            engine = await asyncio.get_running_loop().run_in_executor(thread, make)
        except KuaimeiError:
            raise
        except ImportError as error:
            raise SettingsError(
                f"{name} is not installed here ({error}); its image is deploy/engines/{name}"
            ) from error
        except Exception as error:  # packages raise arbitrary exceptions
            raise EngineError(f"{name} cannot be opened: {error}") from error
        yield Threaded(engine, thread, name)
        del engine
    finally:
        thread.shutdown(wait=False)


def _next(pieces: Iterator[NDArray[np.float32]]) -> NDArray[np.float32] | None:
    return next(pieces, None)


def _close(pieces: Iterator[NDArray[np.float32]]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
