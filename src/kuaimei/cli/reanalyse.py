"""Analysis of all stored utterances from the command line, with or without a running server."""

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
    """Analyse all utterances that are due, newest first.

    Each result is saved at once, so an interrupted run continues where it stopped. A server on the same
    database may analyse at the same time; each finds what the other has done.

    Args:
        settings: Settings of the store and the analysis.
        again: Also re-analyse utterances that are analysed already.

    Returns:
        Numbers of utterances by outcome, and seconds of audio and computing time.
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
