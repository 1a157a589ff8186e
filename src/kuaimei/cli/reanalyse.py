"""Analysing everything that is kept, at the command line, beside a server or without one."""

import time
from typing import Any, Final

from kuaimei.analysis.service import open_analysis
from kuaimei.cli import console
from kuaimei.cli.progress import steps
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.vad import open_vad
from kuaimei.errors import KuaimeiError
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings
from kuaimei.store import open_store

__all__ = ["reanalyse"]

_PAGE: Final = 100


async def reanalyse(settings: Settings, *, again: bool) -> dict[str, Any]:
    """Analyse all that is due, the newest first.

    What is done is kept at once: broken off, it goes on the next time where it was. A server of the same
    database may do the same meanwhile; what one has done the other finds done.

    Args:
        settings: Of the store, and of what measures.
        again: Also what is analysed already.

    Returns:
        How many utterances came to what.
    """
    started = time.monotonic()
    failed: dict[str, str] = {}
    cores = Scheduler("cores", settings.engines.cores)
    async with (
        open_store(settings) as store,
        open_engine(settings, "vad", open_vad) as vad,
        open_analysis(settings, store, vad, cores, IdleMonitor(), jobs=False) as room,
    ):
        if again:
            await room.reanalyse()
        basis = room.analyst.instruments.basis()
        total = (await room.progress()).waiting
        done = 0
        with steps() as told:
            while True:
                due = await store.analyses.due(basis, _PAGE + len(failed), unasked=False)
                if not (left := [name for name, _ in due if name not in failed]):
                    break
                for utterance in left:
                    try:
                        await room.analyst(utterance)
                    except KuaimeiError as error:
                        failed[utterance] = str(error)
                    done += 1
                    told("utterances analysed", done, max(total, done))
        for utterance, why in failed.items():
            console.note(f"{utterance}: {why}")
        counts = room.counts
        return {
            "analysed": sum(counts.outcomes.values()),
            "scored": counts.outcomes["scored"],
            "without scores": sum(counts.outcomes.values()) - counts.outcomes["scored"],
            "failed": len(failed),
            "audio_s": round(counts.audio_s, 1),
            "computing_s": round(counts.computing_s, 1),
            "took_s": round(time.monotonic() - started, 1),
        }
