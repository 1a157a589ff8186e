"""``kuaimei bench``: how good what this machine does is, measured."""

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

app = typer.Typer(no_args_is_help=True, help="How good what this machine does is, measured.")

_JUDGES: Final = (*ENCODERS, "dnsmos")


@app.callback()
def bench() -> None:
    """How good what this machine does is, measured."""


@app.command()
def clone(
    voices: Annotated[
        Path,
        typer.Option(
            help="Folder with a recording for each speaker; NAME.txt beside it says what is said in it.",
            exists=True,
            file_okay=False,
        ),
    ],
    steps: Annotated[
        str,
        typer.Option(help="Of learning: predicted, style, decoder; without it all that are possible here."),
    ] = "",
    tiers: Annotated[str, typer.Option(help="Renderings: fast, hq.")] = "fast,hq",
    long: Annotated[bool, typer.Option("--long", help="Error rates from 500 characters more.")] = False,
    reuse: Annotated[
        Path | None, typer.Option(help="Folder of what was learned: kept there, and not learned again.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="An object for each voice, engine, tier and step.")
    ] = False,
) -> None:
    """Clone every speaker from one half of the recording, and judge the voice by the other half."""
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
            help="Folder of speech; NAME.txt says what is said in it, NAME_1, NAME_2 are one speaker's.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    made: Annotated[
        int, typer.Option(help="Without DIR: so many clips are spoken by stock voices.", min=5)
    ] = 24,
    shaped: Annotated[
        int, typer.Option(help="Clips that are also spoken otherwise (extra praat); 0: none.", min=0)
    ] = 12,
    save: Annotated[Path | None, typer.Option(help="Keep the figures here, as the package does.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as one object.")] = False,
) -> None:
    """How far what is measured of speech can be relied upon, and whether the scores follow the speaker."""
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
        failures.append(f"{name} was not judged wholly: {error}")

    found: list[VoiceReport] = []
    if (task := asyncio.current_task()) is not None:
        # Told to end it leaves no database running and no voice behind, as with Ctrl-C.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with aclosing(judge_all(settings, plan, console.note, failed)) as findings:
        async for finding in findings:
            console.note(one_line_summary(finding))  # it takes long: whoever breaks it off has seen something
            found.append(finding)
    return found, failures


def _chosen(given: str, known: tuple[T, ...], option: str) -> tuple[T, ...]:
    """What of ``known`` is named in ``given``, in the order of ``known``."""
    words = [word.strip() for word in given.split(",") if word.strip()]
    if unknown := [word for word in words if word not in known]:
        raise SettingsError(f"{option} {unknown[0]}: it is a list of {', '.join(map(str, known))}")
    return tuple(one for one in known if one in words)
