"""``kuaimei calibrate``: fit the analysis scores to listeners' ratings."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from kuaimei.analysis.calibration import RECOMMENDED_LABELS, Calibration, load_sklearn
from kuaimei.analysis.calibration import calibrate as fit
from kuaimei.analysis.head import Head, shipped_head
from kuaimei.analysis.head_store import keep_head, kept_heads, load_head, new_version, undo_head
from kuaimei.analysis.labels import read_labels
from kuaimei.analysis.reliability import shipped_figures
from kuaimei.analysis.types import SCORES, Score
from kuaimei.cli import console
from kuaimei.cli.label_data import gather
from kuaimei.errors import SettingsError
from kuaimei.settings import Settings

__all__ = ["calibrate"]

_STRONGEST: Final = 5
_AGAIN: Final = "Stored utterances are scored again by the server, or by: kuaimei analyse --all"


def calibrate(
    labels: Annotated[
        Path | None,
        typer.Argument(
            metavar="[LABELS.csv]",
            help="Columns: utterance or file; confidence, stability, affability (1-5 or empty); rater.",
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Return to the previous head.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List all heads fitted on this machine.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fit and report; change nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Use the head even if it predicts no better than the mean.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fit the weights of the scores to listeners' ratings: 100 to 300 labels, collected at /label."""
    settings = console.settings_from()
    if sum((labels is not None, undo, show)) != 1:
        raise SettingsError("give exactly one of LABELS.csv, --undo and --list")
    if undo:
        _undo(settings, as_json)
    elif show:
        _show(settings, as_json)
    elif labels is not None:
        _calibrate(settings, labels, dry_run=dry_run, force=force, as_json=as_json)


def _calibrate(settings: Settings, labels: Path, *, dry_run: bool, force: bool, as_json: bool) -> None:
    load_sklearn()  # before anything is measured
    given = read_labels(labels)
    samples = asyncio.run(gather(settings, given))
    found = fit(
        samples,
        load_head(settings.home),
        shipped_head(),
        usable=shipped_figures().reliable(),
        version=new_version(settings.home),
    )
    for score, one in found.head.metrics.items():
        if one.labels < RECOMMENDED_LABELS:
            console.note(
                f"{score}: only {one.labels} labels; reliable weights need at least {RECOMMENDED_LABELS}"
            )
        if score not in found.worse and one.mae > one.shipped_mae:
            console.note(
                f"{score}: the shipped weights have a smaller error on these labels than the fitted ones"
            )
    for score in found.left:
        console.note(f"{score}: {found.labels[score]} labels are too few; its weights are not changed")
    refused = bool(found.worse) and not force
    path = None if refused or dry_run else keep_head(settings.home, found.head)
    _tell(found, path, as_json)
    if refused:
        raise SettingsError(
            f"{', '.join(found.worse)}: the fit predicts unseen ratings no better than their mean; nothing "
            "was changed. Collect more ratings, have the raters agree on their criteria, or use --force"
        )
    if path is not None:
        console.note(f"in use: {path}; to undo: kuaimei calibrate --undo. {_AGAIN}")


def _tell(found: Calibration, path: Path | None, as_json: bool) -> None:
    if as_json:
        console.print_json(
            {
                "head": found.head.model_dump(mode="json"),
                "worse_than_mean": list(found.worse),
                "kept": None if path is None else str(path),
            }
        )
        return
    rows: list[list[object]] = []
    for score, one in found.head.metrics.items():
        rows += [
            [score, one.labels, "fitted", one.r2, one.r, one.mae, _strongest(found.head, score)],
            [score, one.labels, "shipped", one.shipped_r2, one.shipped_r, one.shipped_mae, ""],
        ]
    columns = ["score", "labels", "weights", "R²", "Pearson r", "MAE (1–5)", "largest weights"]
    console.print_table(columns, rows, title="On labels not used in the fit")


def _strongest(head: Head, score: Score) -> str:
    line = head.weights[score]
    names = sorted(line, key=lambda name: -abs(line[name]))[:_STRONGEST]
    return ", ".join(f"{name} {line[name]:+.2f}" for name in names)


def _undo(settings: Settings, as_json: bool) -> None:
    version, head = undo_head(settings.home)
    if as_json:
        console.print_json({"undone": version, "in_use": head.version})
    else:
        console.note(f"{version} was undone; in use: {head.version}. {_AGAIN}")


def _show(settings: Settings, as_json: bool) -> None:
    kept = kept_heads(settings.home)
    shipped = shipped_head()
    in_use = load_head(settings.home).version
    if as_json:
        heads = [
            {"version": one.head.version, "in_use": one.in_use, "undone": one.undone}
            | {"metrics": {score: found.model_dump() for score, found in one.head.metrics.items()}}
            for one in kept
        ]
        console.print_json({"in_use": in_use, "shipped": shipped.version, "heads": heads})
        return
    rows: list[list[object]] = [
        [
            one.head.version,
            one.head.made.isoformat(),
            *(_worth(one.head, score) for score in SCORES),
            "in use" if one.in_use else "undone" if one.undone else "earlier",
        ]
        for one in kept
    ]
    state = "in use" if in_use == shipped.version else "shipped"
    rows.append([shipped.version, shipped.made.isoformat(), *("–" for _ in SCORES), state])
    console.print_table(["head", "created", *(f"{score}: r (labels)" for score in SCORES), "state"], rows)


def _worth(head: Head, score: Score) -> str:
    found = head.metrics.get(score)
    return "–" if found is None else f"{'–' if found.r is None else f'{found.r:.2f}'} ({found.labels})"
