"""Everything that is analysed, and what keeps it complete."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from kuaimei.analysis.head_store import load_head
from kuaimei.analysis.job import Analyst, Counts, Instruments, Scored
from kuaimei.analysis.preemptible import Calm
from kuaimei.engines.prosody import open_meter
from kuaimei.engines.protocols import VoiceActivityDetector
from kuaimei.engines.scheduling import Lane
from kuaimei.errors import KuaimeiError
from kuaimei.settings import Settings
from kuaimei.store import Store
from kuaimei.store.analyses import Progress
from kuaimei.store.broadcast import Announcements
from kuaimei.store.due_analyses import Basis
from kuaimei.system.failures import trace_of

__all__ = ["AnalysisRoom", "Register", "open_analysis"]

_log = logging.getLogger(__name__)

_PAGE: Final = 200
_LOOK_S: Final = 600.0
"""So often it is looked for what was queued and lost, and whether the weights are others now."""
_AWAY_S: Final = 30.0
_FRESH_S: Final = 60.0
"""Counting takes a third of a second where a hundred thousand utterances are kept."""


class Register(Protocol):
    """What is analysed (`kuaimei.store.analyses.Analyses`, whose words apply)."""

    async def ask(self, utterance: str, at: datetime) -> None:
        """Have it analysed."""
        ...

    async def due(self, basis: Basis, limit: int, *, unasked: bool = True) -> Sequence[tuple[str, datetime]]:
        """What is to be analysed, the newest first."""
        ...

    async def progress(self, basis: Basis, owner: str | None = None) -> Progress:
        """How many there are, and how many are still to be analysed."""
        ...

    async def again(self, owner: str | None = None) -> int:
        """Let everything be due again."""
        ...


class AnalysisRoom:
    """What a house knows of it.

    Args:
        register: What is analysed.
        analyst: Does it.
        calm: Says when nobody needs the machine.
    """

    def __init__(self, register: Register, analyst: Analyst, calm: Calm) -> None:
        self.analyst = analyst
        self._register = register
        self._calm = calm
        self._wanted = asyncio.Event()
        self._counted: tuple[float, int] | None = None

    @property
    def counts(self) -> Counts:
        """What happened since the process began."""
        return self.analyst.counts

    @property
    def announcements(self) -> Announcements[Scored]:
        """Of what is known now."""
        return self.analyst.announcements

    async def again(self, owner: str | None = None) -> int:
        """Have everything analysed anew, the newest first, behind everyone who is talking.

        Args:
            owner: Only what is this owner's.

        Returns:
            How many utterances that are.

        Raises:
            StoreError: If the database is away.
        """
        count = await self._register.again(owner)
        self._wanted.set()
        return count

    async def progress(self, owner: str | None = None) -> Progress:
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
        if self._counted is None or now - self._counted[0] > _FRESH_S:
            self._counted = now, (await self.progress()).waiting
        return self._counted[1]

    async def upkeep(self) -> None:
        """Find, now and again, what is due and of which no job waits, and have it done; until cancelled.

        So nothing is lost whenever a process ends, and another version analyses everything anew.
        """
        while True:
            patience_s = _LOOK_S
            self._wanted.clear()
            try:
                await self._sweep()
            except KuaimeiError as error:
                _log.warning("what is still to be analysed cannot be told: %s", error)
                patience_s = _AWAY_S
            except Exception as error:  # whatever it was, the next time it may go well
                _log.error("what is still to be analysed cannot be told:\n%s", trace_of(error))
                patience_s = _AWAY_S
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

    async def _basis(self) -> Basis:
        return await asyncio.to_thread(self.analyst.instruments.basis)


@asynccontextmanager
async def open_analysis(
    settings: Settings,
    store: Store,
    vad: Callable[[], VoiceActivityDetector],
    cores: Lane,
    calm: Calm,
    *,
    jobs: bool = True,
) -> AsyncIterator[AnalysisRoom]:
    """What analyses; somebody has to do the job `AnalysisRoom.analyst`, and to run `AnalysisRoom.upkeep`.

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
    analyst = Analyst(
        store.analyses,
        store,
        Instruments(vad, meter, partial(load_head, settings.home)),
        cores,
        calm,
        words_come=jobs,
    )
    room = AnalysisRoom(store.analyses, analyst, calm)
    try:
        yield room
    finally:
        analyst.close()
