"""``kuaimei bench``: quality benchmarks of voice cloning and speech analysis."""

import asyncio
import signal
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Final, TypeVar, get_args

import typer

from kuaimei.cli import console
from kuaimei.cli.models import pull_named
from kuaimei.cli.progress import steps
from kuaimei.errors import EngineError, KuaimeiError, SettingsError
from kuaimei.evaluation.references import find_references
from kuaimei.evaluation.report import COLUMNS, Tier, VoiceReport, one_line_summary, table_row
from kuaimei.evaluation.runs.analysis import Plan as ReliabilityPlan
from kuaimei.evaluation.runs.analysis import examine
from kuaimei.evaluation.runs.analysis_report import tables
from kuaimei.evaluation.runs.cloning import ENCODERS, Plan, judge_all
from kuaimei.settings import Settings
from kuaimei.voices.types import Step

__all__ = ["app"]

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True, help="Measure the quality of voice cloning and speech analysis on this machine."
)

_JUDGES: Final = (*ENCODERS, "dnsmos")


@app.callback()
def bench() -> None:
    """Measure the quality of voice cloning and speech analysis on this machine."""


@app.command()
def clone(
    voices: Annotated[
        Path,
        typer.Option(
            help="Folder with one recording per speaker; NAME.txt beside it contains its transcript.",
            exists=True,
            file_okay=False,
        ),
    ],
    steps: Annotated[
        str,
        typer.Option(
            help="Training steps: predicted, style, decoder; default: all that are available on this machine."
        ),
    ] = "",
    tiers: Annotated[str, typer.Option(help="Renderings to evaluate: fast, hq.")] = "fast,hq",
    long: Annotated[
        bool, typer.Option("--long", help="Base the error rates on 500 more characters.")
    ] = False,
    reuse: Annotated[
        Path | None,
        typer.Option(help="Folder for trained voices: stored there, and reused instead of training again."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: an object for each voice, engine, tier and step.")
    ] = False,
) -> None:
    """Clone every speaker from one half of their recording and evaluate the voice against the other half."""
    settings = console.settings_from()
    plan = Plan(
        references=find_references(voices),
        steps=_chosen(steps, get_args(Step), "--steps"),
        tiers=_chosen(tiers, get_args(Tier), "--tiers"),
        long=long,
        reuse=reuse,
    )
    pull_named(settings, _JUDGES)
    try:
        findings, failures = asyncio.run(_clone(settings, plan))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    if as_json:
        console.print_json([finding.model_dump(mode="json") for finding in findings])
    elif findings:
        console.print_table(COLUMNS, [table_row(finding) for finding in findings])
    if failures:
        raise EngineError("; ".join(failures))


@app.command()
def analysis(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="Folder of recordings; NAME.txt contains the transcript; NAME_1, NAME_2: one speaker.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    made: Annotated[
        int, typer.Option(help="Without DIR: number of clips to synthesize with stock voices.", min=5)
    ] = 24,
    shaped: Annotated[
        int,
        typer.Option(
            help="Number of clips to modify in speaking style (needs the extra praat); 0: none.", min=0
        ),
    ] = 12,
    save: Annotated[
        Path | None, typer.Option(help="File to save the figures to, in the format shipped with the package.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Measure how reliable the speech features are, and whether the scores depend on the speaker."""
    settings = console.settings_from()
    with steps() as progress:
        report = asyncio.run(examine(settings, ReliabilityPlan(folder, made, shaped), console.note, progress))
    if save is not None:
        save.write_text(report.figures.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if as_json:
        console.print_json(report.model_dump(mode="json"))
        return
    for title, columns, rows in tables(report):
        console.print_table(columns, rows, title=title)


async def _clone(settings: Settings, plan: Plan) -> tuple[list[VoiceReport], list[str]]:
    failures: list[str] = []

    def failed(name: str, error: KuaimeiError) -> None:
        console.note(f"{name}: {error}")
        failures.append(f"{name} was not evaluated completely: {error}")

    found: list[VoiceReport] = []
    if (task := asyncio.current_task()) is not None:
        # SIGTERM cleans up like Ctrl+C: no database keeps running and no voice is left behind.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with aclosing(judge_all(settings, plan, console.note, failed)) as findings:
        async for finding in findings:
            console.note(one_line_summary(finding))  # a long run that is aborted has shown some results
            found.append(finding)
    return found, failures


def _chosen(given: str, known: tuple[T, ...], option: str) -> tuple[T, ...]:
    """Return the items of ``known`` that are listed in ``given``, in the order of ``known``."""
    words = [word.strip() for word in given.split(",") if word.strip()]
    if unknown := [word for word in words if word not in known]:
        raise SettingsError(f"{option}: unknown {unknown[0]!r}; available: {', '.join(map(str, known))}")
    return tuple(one for one in known if one in words)
