"""Everything that is analysed, and what keeps it complete."""

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
"""So often it is looked for what was queued and lost, and whether the weights are others now."""
_RETRY_S: Final = 30.0
_COUNT_CACHE_S: Final = 60.0
"""Counting takes a third of a second where a hundred thousand utterances are kept."""


class Register(Protocol):
    """What is analysed (`kuaimei.store.analyses.AnalysisRepository`, whose words apply)."""

    async def ask(self, utterance: str, at: datetime) -> None:
        """Have it analysed."""
        ...

    async def due(
        self, basis: AnalysisVersion, limit: int, *, unasked: bool = True
    ) -> Sequence[tuple[str, datetime]]:
        """What is to be analysed, the newest first."""
        ...

    async def progress(self, basis: AnalysisVersion, owner: str | None = None) -> AnalysisProgress:
        """How many there are, and how many are still to be analysed."""
        ...

    async def invalidate_all(self, owner: str | None = None) -> int:
        """Let everything be due again."""
        ...


class AnalysisService:
    """What a server knows of it.

    Args:
        register: What is analysed.
        analyst: Does it.
        calm: Says when nobody needs the machine.
    """

    def __init__(self, register: Register, analyst: AnalysisJob, calm: IdleSignal) -> None:
        self.analyst = analyst
        self._register = register
        self._calm = calm
        self._wanted = asyncio.Event()
        self._counted: tuple[float, int] | None = None

    @property
    def counts(self) -> AnalysisCounts:
        """What happened since the process began."""
        return self.analyst.counts

    @property
    def announcements(self) -> Broadcast[Scored]:
        """Of what is known now."""
        return self.analyst.announcements

    async def reanalyse(self, owner: str | None = None) -> int:
        """Have everything analysed anew, the newest first, behind everyone who is talking.

        Args:
            owner: Only what is this owner's.

        Returns:
            How many utterances that are.

        Raises:
            StoreError: If the database is away.
        """
        count = await self._register.invalidate_all(owner)
        self._wanted.set()
        return count

    async def progress(self, owner: str | None = None) -> AnalysisProgress:
        """How many there are, and how many are still to be analysed.

        Args:
            owner: Only what is this owner's.

        Raises:
            StoreError: If the database is away.
            SettingsError: If the weights in use cannot be read.
        """
        return await self._register.progress(await self._basis(), owner)

    async def waiting(self) -> int:
        """How many are still to be analysed; at most a minute old, for whoever asks often.

        Raises:
            StoreError: If the database is away.
            SettingsError: If the weights in use cannot be read.
        """
        now = asyncio.get_running_loop().time()
        if self._counted is None or now - self._counted[0] > _COUNT_CACHE_S:
            self._counted = now, (await self.progress()).waiting
        return self._counted[1]

    async def run(self) -> None:
        """Find, now and again, what is due and of which no job waits, and have it done; until cancelled.

        So nothing is lost whenever a process ends, and another version analyses everything anew.
        """
        while True:
            patience_s = _POLL_INTERVAL_S
            self._wanted.clear()
            try:
                await self._sweep()
            except KuaimeiError as error:
                _log.warning("what is still to be analysed cannot be told: %s", error)
                patience_s = _RETRY_S
            except Exception as error:  # whatever it was, the next time it may go well
                _log.error("what is still to be analysed cannot be told:\n%s", trace_of(error))
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
    """What analyses; somebody has to do the job `AnalysisService.analyst`, and to run `AnalysisService.run`.

    Args:
        settings: Which meter, and where the weights are.
        store: Of what was said.
        vad: Makes a detector of speech.
        cores: The lane of this machine's cores.
        calm: Says when nobody needs them.
        jobs: False: nobody does any, so that no words are waited for.

    Raises:
        SettingsError: If what the meter needs is not installed.
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
