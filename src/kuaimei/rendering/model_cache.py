"""Cache of heavy models under a memory budget: loaded on demand, evicted for others.

The budget is for the memory of the graphics card or of the machine, whichever the models use. It is
accounted by the declared need of each model, not measured, because several share one allocator.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

from kuaimei.errors import EngineUnavailable, SettingsError
from kuaimei.system.failures import trace_of
from kuaimei.system.memory import release_freed

__all__ = ["Counters", "ModelCache", "Opener"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

Opener: TypeAlias = Callable[[], AbstractAsyncContextManager[T]]
"""Loads a model; leaving the context unloads it."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of the cache.

    Attributes:
        loads: Models loaded.
        hits: Uses of a model that was loaded already, or was being loaded for another user.
        evictions: Models unloaded to free memory for others.
        unloads: Models unloaded because they were idle, or by `ModelCache.unload`.
        failures: Loads that failed.
        load_s: Total seconds of all loads.
    """

    loads: int = 0
    hits: int = 0
    evictions: int = 0
    unloads: int = 0
    failures: int = 0
    load_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Resident:
    key: str
    memory_mb: float
    ready: asyncio.Future[None]
    unload_task: asyncio.Event
    holder: asyncio.Task[None] | None = None
    value: Any = None
    users: int = 0
    used: int = 0
    idle: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class _Waiting:
    key: str
    memory_mb: float
    opener: Opener[Any] = field(repr=False)
    granted: asyncio.Future[_Resident] = field(repr=False)


class ModelCache:
    """Models under a memory budget; used on one event loop.

    Requests are served in order, even if a later one would fit sooner or finds its model loaded already:
    otherwise two users of one model, taking turns, would starve a third for ever. For the same reason a user
    must not request a second model while holding one.

    Leave it as a context, or `close` it, when no model is in use.

    Args:
        budget_mb: Megabytes for all models together.
        idle_s: A model that was unused for so long is unloaded.
        clock: Clock for the loading time; None: the event loop's.
    """

    def __init__(
        self, budget_mb: float, idle_s: float = 300.0, clock: Callable[[], float] | None = None
    ) -> None:
        self.budget_mb = budget_mb
        self._idle_s = idle_s
        self._clock = clock
        self._used_mb = 0.0
        self._residents: dict[str, _Resident] = {}
        self._leaving: set[_Resident] = set()
        self._waiting: deque[_Waiting] = deque()
        self._holders: set[asyncio.Task[None]] = set()
        self._uses = count(1)
        self._closed = False
        self._loads = self._hits = self._evictions = self._unloads = self._failures = 0
        self._load_s = 0.0

    @property
    def counters(self) -> Counters:
        """Snapshot of the counters."""
        return Counters(self._loads, self._hits, self._evictions, self._unloads, self._failures, self._load_s)

    @property
    def residents(self) -> Mapping[str, float]:
        """Megabytes of each loaded or loading model, by key."""
        return {resident.key: resident.memory_mb for resident in self._residents.values()}

    @property
    def used_mb(self) -> float:
        """Megabytes in use, including models that are being unloaded."""
        return self._used_mb

    @property
    def waiting(self) -> int:
        """Number of requests that wait for memory."""
        return sum(not waiting.granted.done() for waiting in self._waiting)

    async def __aenter__(self) -> "ModelCache":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def use(self, key: str, memory_mb: float, opener: Opener[T]) -> AsyncIterator[T]:
        """Provide the model ``key`` for the duration of the block; it is shared with other users.

        Args:
            key: Identifies the model.
            memory_mb: Megabytes it needs when loaded and working.
            opener: Loads it, if it is not loaded. Its context is entered and left in a task of its own.

        Raises:
            SettingsError: If it is larger than the whole budget.
            EngineUnavailable: If the server is being closed.
            Exception: Whatever ``opener`` raises; the next request tries again.
        """
        if memory_mb > self.budget_mb:
            raise SettingsError(
                f"{key} needs {memory_mb:.0f} MB, but models loaded on demand may use "
                f"{self.budget_mb:.0f} MB in total: raise KUAIMEI_RENDERING__MEMORY_MB"
            )
        resident = await self._take(key, memory_mb, opener)
        try:
            # Shielded: other users may wait for the same load.
            await asyncio.shield(resident.ready)
            thing: T = resident.value
            yield thing
        finally:
            self._release(resident)

    async def unload(self, key: str) -> bool:
        """Unload a model now and wait until that is done; return False if it is in use or not loaded."""
        resident = self._residents.get(key)
        if resident is None or resident.users or not resident.ready.done() or resident.holder is None:
            return False
        self._unload(resident)
        await asyncio.wait({resident.holder})
        return True

    async def close(self) -> None:
        """Reject waiting requests and unload every model, used or not; idempotent."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.granted.done():
                waiting.granted.set_exception(_closing())
        self._waiting.clear()
        for resident in tuple(self._residents.values()):
            self._leave(resident)
        while self._holders:
            await asyncio.wait(self._holders)

    async def _take(self, key: str, memory_mb: float, opener: Opener[Any]) -> _Resident:
        if self._closed:
            raise _closing()
        waiting = _Waiting(key, memory_mb, opener, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._serve()
        try:
            return await waiting.granted
        except asyncio.CancelledError:
            granted = waiting.granted
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                self._serve()
            elif granted.done() and not granted.cancelled() and granted.exception() is None:
                self._release(granted.result())  # granted in the same instant as it was cancelled
            raise

    def _serve(self) -> None:
        """Grant waiting requests in order, as far as memory allows."""
        while self._waiting:
            first = self._waiting[0]
            if not first.granted.done():
                resident = self._residents.get(first.key)
                if resident is not None:
                    self._hits += 1
                elif self._evict_for(first.memory_mb):
                    resident = self._load(first)
                else:
                    return
                resident.users += 1
                resident.used = next(self._uses)
                if resident.idle is not None:
                    resident.idle.cancel()
                    resident.idle = None
                first.granted.set_result(resident)
            self._waiting.popleft()

    def _evict_for(self, memory_mb: float) -> bool:
        """Return whether ``memory_mb`` is free now; if not, evict unused models if that is sufficient."""
        missing = self._used_mb + memory_mb - self.budget_mb
        if missing <= 0:
            return True
        missing -= sum(resident.memory_mb for resident in self._leaving)
        victims = []
        for resident in sorted(self._residents.values(), key=lambda resident: resident.used):
            if missing <= 0:
                break
            if not resident.users and resident.ready.done():
                victims.append(resident)
                missing -= resident.memory_mb
        if missing <= 0:
            for resident in victims:
                self._evictions += 1
                _log.info("unloading %s to free memory", resident.key)
                self._leave(resident)
        return False

    def _load(self, waiting: _Waiting) -> _Resident:
        loop = asyncio.get_running_loop()
        resident = _Resident(waiting.key, waiting.memory_mb, loop.create_future(), asyncio.Event())
        self._residents[waiting.key] = resident
        self._used_mb += resident.memory_mb
        resident.holder = holder = loop.create_task(self._keep(resident, waiting.opener))
        self._holders.add(holder)
        holder.add_done_callback(self._holders.discard)
        return resident

    async def _keep(self, resident: _Resident, opener: Opener[Any]) -> None:
        """Load a model, hold it until it is unloaded, and release its memory."""
        try:
            await self._hold(resident, opener)
        except BaseException as error:
            if not resident.ready.done():
                self._failures += 1
                # A cancelled load would look to its users as if they had been cancelled themselves.
                told = error if isinstance(error, Exception) else _closing()
                resident.ready.set_exception(told)
                resident.ready.exception()  # marked as retrieved: there may be no user left
            elif isinstance(error, Exception):
                _log.error("unloading %s failed:\n%s", resident.key, trace_of(error))
            if not isinstance(error, Exception):
                raise
        finally:
            resident.value = None
            if self._residents.get(resident.key) is resident:
                del self._residents[resident.key]
                self._leaving.add(resident)
            try:
                await asyncio.to_thread(release_freed)
            finally:
                self._leaving.discard(resident)
                self._used_mb -= resident.memory_mb
                self._serve()

    async def _hold(self, resident: _Resident, opener: Opener[Any]) -> None:
        started = self._now()
        async with opener() as resident.value:
            took = self._now() - started
            self._loads += 1
            self._load_s += took
            _log.info("%s loaded in %.1f s (%.0f MB)", resident.key, took, resident.memory_mb)
            resident.ready.set_result(None)
            self._rest(resident)
            await resident.unload_task.wait()

    def _release(self, resident: _Resident) -> None:
        resident.users -= 1
        self._rest(resident)
        self._serve()

    def _rest(self, resident: _Resident) -> None:
        """Start the idle timer of a model without users."""
        there = self._residents.get(resident.key) is resident and resident.ready.done()
        if there and not resident.users and resident.idle is None:
            loop = asyncio.get_running_loop()
            resident.idle = loop.call_later(self._idle_s, self._unload, resident)

    def _unload(self, resident: _Resident) -> None:
        self._unloads += 1
        self._leave(resident)

    def _leave(self, resident: _Resident) -> None:
        if resident.idle is not None:
            resident.idle.cancel()
            resident.idle = None
        del self._residents[resident.key]
        self._leaving.add(resident)
        resident.unload_task.set()

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()


def _closing() -> EngineUnavailable:
    return EngineUnavailable("the server is stopping: no more models are loaded")
