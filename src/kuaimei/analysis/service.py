"""Analysis service: queues every utterance that lacks an up-to-date analysis."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from kuaimei.analysis.head_store import load_head
from kuaimei.analysis.job import AnalysisCounts, AnalysisJob, Extractors, Scored
from kuaimei.analysis.preemptible import IdleSignal
from kuaimei.engines.prosody import open_meter
from kuaimei.engines.protocols import VoiceActivityDetector
from kuaimei.engines.scheduling import Scheduler
from kuaimei.errors import KuaimeiError
from kuaimei.settings import Settings
from kuaimei.store import Store
from kuaimei.store.analyses import AnalysisProgress
from kuaimei.store.broadcast import Broadcast
from kuaimei.store.due_analyses import AnalysisVersion
from kuaimei.system.failures import trace_of

__all__ = ["AnalysisService", "Register", "open_analysis"]

_log = logging.getLogger(__name__)

_PAGE: Final = 200
_POLL_INTERVAL_S: Final = 600.0
"""Seconds between two searches for lost jobs and for utterances analysed with another head."""
_RETRY_S: Final = 30.0
_COUNT_CACHE_S: Final = 60.0
"""Seconds for which a count is cached: counting a hundred thousand utterances takes a third of a second."""


class Register(Protocol):
    """Register of the utterances to be analysed. See `kuaimei.store.analyses.AnalysisRepository`."""

    async def ask(self, utterance: str, at: datetime) -> None:
        """Queue an analysis job for ``utterance``, spoken ``at``."""
        ...

    async def due(
        self, basis: AnalysisVersion, limit: int, *, unasked: bool = True
    ) -> Sequence[tuple[str, datetime]]:
        """Return ids and times of utterances to be analysed, newest first."""
        ...

    async def progress(self, basis: AnalysisVersion, owner: str | None = None) -> AnalysisProgress:
        """Count all utterances and those still to be analysed."""
        ...

    async def invalidate_all(self, owner: str | None = None) -> int:
        """Invalidate all analyses, so that they are made again; return how many."""
        ...


class AnalysisService:
    """Keeps the analyses of all utterances complete and reports their progress.

    Args:
        register: Register of the utterances to be analysed.
        analyst: The job that analyses an utterance.
        calm: Tells when the machine is idle.
    """

    def __init__(self, register: Register, analyst: AnalysisJob, calm: IdleSignal) -> None:
        self.analyst = analyst
        self._register = register
        self._calm = calm
        self._wanted = asyncio.Event()
        self._counted: tuple[float, int] | None = None

    @property
    def counts(self) -> AnalysisCounts:
        """Counters since the start of the process."""
        return self.analyst.counts

    @property
    def announcements(self) -> Broadcast[Scored]:
        """Broadcast of finished analyses."""
        return self.analyst.announcements

    async def reanalyse(self, owner: str | None = None) -> int:
        """Analyse everything again, newest first, while no conversation needs the machine.

        Args:
            owner: Limits it to the utterances of this owner.

        Returns:
            Number of utterances.

        Raises:
            StoreError: If the database is unavailable.
        """
        count = await self._register.invalidate_all(owner)
        self._wanted.set()
        return count

    async def progress(self, owner: str | None = None) -> AnalysisProgress:
        """Count all utterances and those still to be analysed.

        Args:
            owner: Limits it to the utterances of this owner.

        Raises:
            StoreError: If the database is unavailable.
            SettingsError: If the head in use cannot be read.
        """
        return await self._register.progress(await self._basis(), owner)

    async def waiting(self) -> int:
        """Return the number of utterances still to be analysed; cached for a minute.

        Raises:
            StoreError: If the database is unavailable.
            SettingsError: If the head in use cannot be read.
        """
        now = asyncio.get_running_loop().time()
        if self._counted is None or now - self._counted[0] > _COUNT_CACHE_S:
            self._counted = now, (await self.progress()).waiting
        return self._counted[1]

    async def run(self) -> None:
        """Periodically queue jobs for due utterances that have none; runs until cancelled.

        So nothing is lost when a process dies, and a new version analyses everything again.
        """
        while True:
            patience_s = _POLL_INTERVAL_S
            self._wanted.clear()
            try:
                await self._sweep()
            except KuaimeiError as error:
                _log.warning("cannot determine which utterances are still to be analysed: %s", error)
                patience_s = _RETRY_S
            except Exception as error:  # unexpected, but the next sweep may succeed
                _log.error("cannot determine which utterances are still to be analysed:\n%s", trace_of(error))
                patience_s = _RETRY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._wanted.wait()

    async def _sweep(self) -> None:
        basis = await self._basis()
        total = 0
        while True:
            await self._calm.wait()
            found = await self._register.due(basis, _PAGE)
            for utterance, at in found:
                await self._register.ask(utterance, at)
            total += len(found)
            if len(found) < _PAGE:
                break
        if total:
            _log.info("%d utterances are still to be analysed", total)

    async def _basis(self) -> AnalysisVersion:
        return await asyncio.to_thread(self.analyst.instruments.basis)


@asynccontextmanager
async def open_analysis(
    settings: Settings,
    store: Store,
    vad: Callable[[], VoiceActivityDetector],
    cores: Scheduler,
    calm: IdleSignal,
    *,
    jobs: bool = True,
) -> AsyncIterator[AnalysisService]:
    """Open the analysis; the caller registers the job `AnalysisService.analyst` and calls `run`.

    Args:
        settings: Say which meter to use and where the heads are.
        store: Store of the utterances.
        vad: Creates a voice activity detector.
        cores: Scheduler of this machine's cores.
        calm: Tells when no conversation needs the cores.
        jobs: False if no jobs are run, so that transcriptions are not waited for.

    Raises:
        SettingsError: If a dependency of the meter is not installed.
    """
    meter = await asyncio.to_thread(open_meter, settings.analysis.meter)
    analyst = AnalysisJob(
        store.analyses,
        store,
        Extractors(vad, meter, partial(load_head, settings.home)),
        cores,
        calm,
        words_come=jobs,
    )
    room = AnalysisService(store.analyses, analyst, calm)
    try:
        yield room
    finally:
        analyst.close()
