"""Settings, commands and targets that the documentation names are there."""

import re
from collections.abc import Iterator
from pathlib import Path

import typer.main
from pydantic import BaseModel

from kuaimei.cli.main import _app
from kuaimei.settings import CONFIG, Settings

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if "node_modules" not in path.parts
)
PLANNED = {"plan", "load"}
"""Commands that documents tell to be planned."""
_SETTING = re.compile(r"\bKUAIMEI_[A-Z0-9_]+\b(?!…)")
_COMMAND = re.compile(r"[`/]kuaimei ([a-z]+)(?: ([a-z]+))?")
_TARGET = re.compile(r"(?:^|`|&& )make ([a-z]+)\b", re.M)


def _settings(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def _named(pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    for document in DOCUMENTS:
        for found in pattern.finditer(document.read_text(encoding="utf-8")):
            yield document.relative_to(ROOT).as_posix(), found


def test_every_setting_is_one() -> None:
    known = {*_settings(Settings, "KUAIMEI_"), CONFIG}
    unknown = {
        f"{document}: {found[0]}"
        for document, found in _named(_SETTING)
        # A name that ends in "_" stands for all that begin so.
        if found[0] not in known
        and not (found[0].endswith("_") and any(k.startswith(found[0]) for k in known))
    }
    assert unknown == set()


def test_every_command_is_one() -> None:
    commands = typer.main.get_command(_app()).commands  # type: ignore[attr-defined]
    unknown = set()
    for document, found in _named(_COMMAND):
        name, inner = found[1], found[2]
        if name in PLANNED:
            continue
        known = name in commands
        group = getattr(commands.get(name), "commands", None)
        if not known or (group is not None and inner and inner not in group):
            unknown.add(f"{document}: {found[0]}")
    assert unknown == set()


def test_every_target_is_one() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert {f"{d}: {f[0]}" for d, f in _named(_TARGET) if f[1] not in targets} == set()
