"""``kuaimei models``: list, download and verify model weights."""

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Annotated, Any

import typer

from kuaimei.cli import console
from kuaimei.cli.pull_progress import LineProgress, bars
from kuaimei.errors import WeightsError
from kuaimei.models.catalog import Entry, load_catalog, source_order
from kuaimei.models.download_sources import SourceResolver
from kuaimei.models.errors import mb
from kuaimei.models.model_store import ModelStore
from kuaimei.models.pull import Puller
from kuaimei.models.resolve import plan
from kuaimei.settings import Settings

__all__ = ["app", "pull_missing", "pull_named"]

app = typer.Typer(no_args_is_help=True, help="Model weights: list, download, verify.")

_Names = Annotated[list[str] | None, typer.Argument(help="Models; default: those that the settings need.")]
_Again = Annotated[
    bool, typer.Option("--again", help="Verify the installed files and download damaged ones again.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def pull_missing(settings: Settings) -> list[Entry]:
    """Download the models that the settings need and that are missing; return those downloaded.

    Raises:
        WeightsError: If one cannot be downloaded.
    """
    shelf = ModelStore(settings.weights_dir)
    missing = [entry for entry in plan(settings) if shelf.problem(entry)]
    return _pull(settings, missing, complete=False) if missing else []


def pull_named(settings: Settings, names: Iterable[str]) -> list[Entry]:
    """Download the missing ones of the models in ``names``; return those downloaded.

    Raises:
        WeightsError: If one cannot be downloaded.
    """
    shelf = ModelStore(settings.weights_dir)
    missing = [entry for entry in map(load_catalog().entry, names) if shelf.problem(entry)]
    return _pull(settings, missing, complete=False) if missing else []


@app.command("list")
def list_models(as_json: _Json = False) -> None:
    """List every model of the catalogue and whether it is installed."""
    settings = console.settings_from()
    shelf = ModelStore(settings.weights_dir)
    rows = [_row(entry, shelf, settings) for entry in load_catalog().entries.values()]
    if as_json:
        console.print_json({"folder": str(shelf.root), "models": rows})
        return
    columns = ["name", "role", "size", "memory", "licence", "languages", "installed", "sources"]
    table: list[list[object]] = [
        [
            f"{row['name']} *" if row["used"] else row["name"],
            row["role"],
            mb(row["size"]),
            f"{row['memory_mb']} MB",
            row["licence"],
            " ".join(row["languages"][:2]) + (" …" if len(row["languages"]) > 2 else ""),
            "yes" if row["installed"] else "no" if row["state"] == "not installed" else "incomplete",
            " ".join(row["sources"]),
        ]
        for row in rows
    ]
    console.print_table(columns, table, title=f"Weights in {shelf.root} (* used by the settings)")


@app.command()
def pull(names: _Names = None, again: _Again = False, as_json: _Json = False) -> None:
    """Download, verify and convert models; installed ones are left alone."""
    settings = console.settings_from()
    shelf = ModelStore(settings.weights_dir)
    entries = _entries(settings, names)
    came = _pull(settings, entries, complete=True, again=again)
    if as_json:
        rows = [_row(entry, shelf, settings) for entry in entries]
        console.print_json({"folder": str(shelf.root), "pulled": [e.name for e in came], "models": rows})
    elif not came:
        console.note(f"Everything is installed already, in {shelf.root}.")


@app.command()
def verify(names: _Names = None, as_json: _Json = False) -> None:
    """Hash every installed file and compare its SHA-256; exits with status 1 if one is damaged."""
    settings = console.settings_from()
    shelf = ModelStore(settings.weights_dir)
    entries = list(load_catalog().entries.values())
    entries = _entries(settings, names) if names else [e for e in entries if shelf.folder(e.name).is_dir()]
    if not entries:
        raise WeightsError("no weights are installed: run `kuaimei models pull`")
    damage: dict[str, list[str]] = {}
    for entry in entries:
        damage[entry.name] = shelf.verify(entry)
        if not as_json:
            console.note(f"{entry.name}: {'; '.join(damage[entry.name]) or 'ok'}")
    if as_json:
        found = [{"name": name, "ok": not bad, "problems": bad} for name, bad in damage.items()]
        console.print_json({"folder": str(shelf.root), "models": found})
    bad = [name for name, problems in damage.items() if problems]
    if bad:
        raise WeightsError(f"damaged or incomplete: run `kuaimei models pull --again {' '.join(bad)}`")


def _pull(settings: Settings, entries: list[Entry], *, complete: bool, again: bool = False) -> list[Entry]:
    catalog = load_catalog()
    origins = SourceResolver(catalog, source_order(settings.models_sources))
    with bars() if sys.stderr.isatty() else nullcontext(LineProgress(console.note)) as progress:
        puller = Puller(ModelStore(settings.weights_dir), catalog, origins, progress)
        return puller.pull(entries, complete=complete, again=again)


def _entries(settings: Settings, names: list[str] | None) -> list[Entry]:
    catalog = load_catalog()
    return [catalog.entry(name) for name in dict.fromkeys(names)] if names else plan(settings)


def _row(entry: Entry, shelf: ModelStore, settings: Settings) -> dict[str, Any]:
    """Return the data of one model; its size is that on disk, or of the first variant if not installed."""
    problem = shelf.problem(entry)
    manifest = shelf.manifest(entry.name)
    kinds = {place.kind for way in entry.ways for file in way.files for place in file.places}
    came = {kept.source.partition(":")[0] for kept in manifest.files.values()} if manifest else set()
    return {
        "name": entry.name,
        "role": entry.role,
        "summary": entry.summary,
        "size": entry.ways[0].size if problem else shelf.size(entry.name),
        "memory_mb": entry.memory_mb,
        "licence": entry.licence,
        "languages": list(entry.languages),
        "used": entry in plan(settings),
        "installed": not problem,
        "state": problem or "installed",
        "lacking": [] if problem else shelf.missing_optional(entry),
        "sources": sorted(kinds if problem or not came else came),
    }
