"""An engine that computes where it is called, on a thread of its own."""

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
"""Sound that may be there before somebody takes it: eleven minutes at 24 kHz."""
_UNHEARD_S: Final = 30.0
"""A listener who takes nothing for so long, when there is so much, is given up."""


class Threaded:
    """One request after the other; a graphics card is not faster for two at once.

    Args:
        engine: Computes.
        thread: The one on which it was opened: some libraries keep state by thread.
        name: Of the engine, for messages.
    """

    def __init__(self, engine: BlockingTTSEngine, thread: ThreadPoolExecutor, name: str) -> None:
        self._engine = engine
        self._thread = thread
        self._name = name
        self.scheduler = Scheduler(name)

    @property
    def sample_rate(self) -> int:
        """See `Speaker.sample_rate`."""
        return self._engine.sample_rate

    @property
    def voices(self) -> Sequence[str]:
        """See `Speaker.voices`."""
        return self._engine.voices

    async def stream(self, speech: EngineRequest) -> AsyncGenerator[Pcm, None]:
        """See `Speaker.stream`; left early, it stops after the piece in work."""
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
        except Exception as error:  # whatever a package throws
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
    """What ``make`` makes, as a `Speaker`; both on one thread.

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
        except Exception as error:  # whatever a package throws
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
