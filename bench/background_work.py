"""Effect of background work on the latency of a conversation.

    python -m bench.background_work FOLDER --work analysis|learning [--turns 12] [--rounds 2] [--json]

Rounds with and without the work alternate, on servers that are otherwise the same: both store recordings.
Measures milliseconds from the last voiced frame to the first audio of the reply.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Literal, TypeAlias

from bench.enrolment import OWNER, enrolled
from bench.temp_home import private_home
from bench.turn_latency import figures
from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.cli.console import note, print_json, print_table
from kuaimei.evaluation.runs.replay import speak
from kuaimei.runtime import open_runtime
from kuaimei.settings import AnalysisSettings, RenderingSettings, Settings
from kuaimei.voices.types import Voice

Work: TypeAlias = Literal["analysis", "learning"]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", choices=("analysis", "learning"), required=True)
    parser.add_argument("--turns", type=int, default=12, help="of each kind")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    without, beside = asyncio.run(run(args.folder, args.work, args.turns, args.rounds))
    result = {
        "work": args.work,
        "without": figures(without),
        "beside": figures(beside),
        "ratio": {
            name: round(figures(beside)[name] / figures(without)[name], 3) for name in figures(without)
        },
        "each": {"without": without, "beside": beside},
    }
    if args.json:
        print_json(result)
        return
    print_table(
        ["first audio, ms", "P50", "P95", "max"],
        [["without", *figures(without).values()], [f"beside {args.work}", *figures(beside).values()]],
    )


async def run(folder: Path, work: Work, turns: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return first-audio latencies without the work and beside it, in milliseconds.

    Args:
        folder: Folder of the recordings.
        work: Kind of background work.
        turns: Number of turns of each kind.
        rounds: Number of rounds that they are split into.
    """
    paths = sorted(folder.glob("*.wav"))
    if not paths:
        sys.exit(f"no .wav in {folder}")
    clips = [(path, await decode(path, ASR_RATE)) for path in paths]
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for working in (False, True):
            part = list(islice(cycle(clips), -(-turns // rounds)))
            found[working].extend(await _round(part, work if working else None))
            note(f"{work if working else 'nothing'} beside: {found[working][-len(part) :]}")
    return found


async def _round(clips: Sequence[tuple[Path, Pcm]], work: Work | None) -> list[float]:
    with private_home() as home:
        settings = Settings(
            home=home,
            analysis=AnalysisSettings(enabled=work == "analysis"),
            rendering=RenderingSettings(hq="none"),
        )
        async with open_runtime(settings) as runtime:
            if work == "learning":
                await enrolled(runtime, clips[0][0], _is_learned)
            reports = await speak(runtime, clips)
            if work == "learning":
                assert runtime.voices is not None
                (voice,) = await runtime.voices.voices(OWNER)
                note(f"learning meanwhile: {voice.learning.step} {voice.learning.progress:.0%}")
    return [round(turn.first_audio_ms, 1) for turn in reports if turn.first_audio_ms is not None]


def _is_learned(voice: Voice) -> bool:
    return voice.learning.state == "running" and voice.learning.progress > 0


if __name__ == "__main__":
    main()
