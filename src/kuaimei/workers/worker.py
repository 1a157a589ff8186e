"""Lifecycle of the worker's engine: loaded on demand or on request, unloaded when idle."""

import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from kuaimei.errors import KuaimeiError
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.workers.types import EngineSpec, Mode, Options, TTSEngine

__all__ = ["ModelHost", "State"]

State: TypeAlias = Literal["unloaded", "loading", "ready", "failed"]


@dataclass(slots=True)
class _Loading:
    state: State = "unloaded"
    stage: str = ""
    since: float = 0.0
    took_s: float | None = None
    error: str = ""


class ModelHost:
    """Loads, leases and unloads the engine of this process.

    Args:
        card: The engine's specification.
        options: How to open it.
        idle_s: Seconds without use after which it is unloaded; infinite: never.
    """

    def __init__(self, card: EngineSpec, options: Options, idle_s: float = math.inf) -> None:
        self.card = card
        self._options = options
        # At most a year: event loop timers do not accept infinity.
        self._model_cache = ModelCache(math.inf, min(idle_s, 366 * 86_400.0))
        self._loading: dict[Mode, _Loading] = {mode: _Loading() for mode in card.openers}
        self.voices: Sequence[str] = ()

    @property
    def state(self) -> State:
        """State of the mode that is closest to ready."""
        order: tuple[State, ...] = ("ready", "loading", "failed", "unloaded")
        return min((self._state(mode) for mode in self._loading), key=order.index)

    def mode(self, wanted: Mode) -> Mode:
        """Return ``wanted`` if the engine has that mode, otherwise ``fast``."""
        return wanted if wanted in self.card.openers else "fast"

    def lease(self, wanted: Mode) -> AbstractAsyncContextManager[TTSEngine]:
        """Return a context manager that holds the open engine, loading it if necessary.

        Raises:
            KuaimeiError: If it cannot be loaded.
        """
        mode = self.mode(wanted)
        return self._model_cache.use(mode, self.card.memory_mb, lambda: self._open(mode))

    async def load(self, wanted: Mode) -> None:
        """Load the engine and wait until it is ready.

        Raises:
            KuaimeiError: If it cannot be loaded.
        """
        async with self.lease(wanted):
            pass

    async def unload(self) -> bool:
        """Unload every mode that is not in use; False if one is in use."""
        done = [await self._model_cache.unload(mode) for mode in tuple(self._model_cache.residents)]
        return all(done)

    async def close(self) -> None:
        """Unload everything."""
        await self._model_cache.close()

    def describe(self) -> dict[str, Any]:
        """Return the state of the engine and of each mode, as JSON-ready data."""
        return {
            "status": self.state,
            "engine": self.card.name,
            "modes": {mode: self._status(mode) for mode in self._loading},
        }

    def _state(self, mode: Mode) -> State:
        known = self._loading[mode].state
        return "unloaded" if known == "ready" and mode not in self._model_cache.residents else known

    def _status(self, mode: Mode) -> dict[str, Any]:
        loading, state = self._loading[mode], self._state(mode)
        return {
            "state": state,
            "stage": loading.stage if state == "loading" else None,
            "loading_s": round(time.monotonic() - loading.since, 1) if state == "loading" else None,
            "load_s": loading.took_s,
            "error": loading.error or None,
        }

    @asynccontextmanager
    async def _open(self, mode: Mode) -> AsyncIterator[TTSEngine]:
        loading = self._loading[mode] = _Loading("loading", "starting", time.monotonic())

        def progress(stage: str) -> None:
            loading.stage = stage
            self._options.progress(stage)

        try:
            async with self.card.openers[mode](replace(self._options, progress=progress)) as speaker:
                loading.took_s = round(time.monotonic() - loading.since, 2)
                loading.state = "ready"
                self.voices = tuple(speaker.voices)
                yield speaker
        except BaseException as error:
            if loading.state == "loading":
                loading.state = "failed"
                loading.error = str(error) if isinstance(error, KuaimeiError) else "see the log"
            raise
        loading.state = "unloaded"
