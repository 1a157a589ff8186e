"""``kuaimei doctor``: checks of this machine and installation, with a fix for each problem."""

import asyncio
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import psutil  # type: ignore[import-untyped]
import typer
from pydantic import BaseModel, SecretStr

from kuaimei.cli import console
from kuaimei.errors import KuaimeiError
from kuaimei.models.resolve import resolve, roles
from kuaimei.settings import CONFIG, Settings
from kuaimei.store import open_store
from kuaimei.store.postgres.location import abandoned, base_for
from kuaimei.system.privacy import open_to_others
from kuaimei.system.processes import bare_environment
from kuaimei.voices.training.environment.background_install import missing_interpreter
from kuaimei.voices.training.environment.paths import interpreter, places
from kuaimei.voices.training.environment.requirements import build_for

__all__ = ["Finding", "doctor", "examine", "learning_findings"]

_NEEDED_CORES = 2
_NEEDED_MEMORY = 4 * 2**30
"""Bytes; the default engines take about 3.2 GB."""
_NEEDED_DISK = 3 * 2**30
"""Bytes; the default weights take about 2 GB while they are installed."""

_OTHERS = 0o077
_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")
"""A password in a URL: ``postgresql://user:password@host``."""

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check; ``mend`` says in one line what to do, empty if nothing needs to be done."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check memory, disk, weights, database, privacy and more; exits with status 1 if a check fails."""
    settings = console.settings_from()
    findings = list(examine(settings))
    if as_json:
        console.print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        marks = {"ok": "✓", "warn": "!", "fail": "✗"}
        console.print_table(
            ["", "check", "found", "how to fix it"],
            [[marks[f.verdict], f.check, f.found, f.mend] for f in findings],
        )
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Run every check in order and yield its findings."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _python,
        _cores,
        _memory,
        _disk,
        _weights,
        learning_findings,
        _database,
        _privacy,
        _abandoned,
        _secrets,
        _port,
        _gpu,
    )
    for check in checks:
        yield from check(settings)


def _python(settings: Settings) -> Iterator[Finding]:
    version = platform.python_version()
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        yield Finding("python", "ok", version)
    else:
        yield Finding(
            "python", "fail", version, "use Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.11"
        )


def _cores(settings: Settings) -> Iterator[Finding]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{usable} usable, {settings.engines.cores} assigned to the engines"
    if settings.engines.cores > usable:
        yield Finding(
            "cores", "warn", found, f"set KUAIMEI_ENGINES__CORES={usable}: more threads than cores are slower"
        )
    elif usable < _NEEDED_CORES:
        yield Finding(
            "cores", "warn", found, f"provide {_NEEDED_CORES} cores, or set KUAIMEI_ASR=whisper-base"
        )
    else:
        yield Finding("cores", "ok", found)


def _memory(settings: Settings) -> Iterator[Finding]:
    free = psutil.virtual_memory().available
    found = f"{free / 2**30:.1f} GB available"
    if free >= _NEEDED_MEMORY:
        yield Finding("memory", "ok", found)
    else:
        yield Finding(
            "memory",
            "warn",
            found,
            "close other programs, or set KUAIMEI_LLM=qwen2.5-coder-0.5b KUAIMEI_ASR=whisper-base",
        )


def _disk(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    there = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 2**30:.1f} GB free for {home}"
    if not os.access(there, os.W_OK):
        yield Finding(
            "disk", "fail", f"{there} is not writable", "set KUAIMEI_HOME to a folder that you can write to"
        )
    elif free < settings.store.disk_full_mb * 2**20:
        yield Finding("disk", "fail", found, "free disk space: no audio is recorded while it is this low")
    elif free < max(_NEEDED_DISK, settings.store.disk_low_mb * 2**20):
        yield Finding(
            "disk", "warn", found, "free disk space, or set KUAIMEI_HOME to a folder on a larger disk"
        )
    else:
        yield Finding("disk", "ok", found)


def _weights(settings: Settings) -> Iterator[Finding]:
    for role, value in roles(settings).items():
        if value == "none":
            yield Finding(role, "ok", "disabled")
            continue
        try:
            source = resolve(role, value, settings.weights_dir)
        except KuaimeiError as error:
            yield Finding(role, "fail", value, str(error))
            continue
        where: str | Path = source.where or source.path or "built in"
        yield Finding(role, "ok", f"{source.name}: {where}")


def learning_findings(settings: Settings) -> Iterator[Finding]:
    """Check whether voices can be trained on this machine."""
    voices = settings.voices
    place = places(settings.home, build_for("auto" if voices.environment == "off" else voices.environment))
    if (python := interpreter(settings)) is not None:
        yield Finding("learning", "ok", f"voices are trained with {python}")
    elif voices.python:
        yield Finding("learning", "fail", "the interpreter is missing", missing_interpreter(settings))
    elif voices.environment == "off":
        yield Finding("learning", "ok", "disabled: voices are not trained (voices.environment is off)")
    elif place.being_made():
        yield Finding("learning", "ok", "the training environment is being installed")
    else:
        yield Finding(
            "learning",
            "warn",
            "the training environment is not installed yet",
            "the server installs it in the background; 'kuaimei setup' installs it now",
        )


def _database(settings: Settings) -> Iterator[Finding]:
    if not settings.store.keep:
        yield Finding("database", "ok", "storing is disabled (store.keep is off)")
        return

    async def check() -> str:
        async with open_store(settings) as store:
            await store.health()
            return store.describe()

    try:
        yield Finding("database", "ok", asyncio.run(check()))
    except KuaimeiError as error:
        yield Finding("database", "fail", "cannot be opened", str(error))


def _privacy(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    opened = list(open_to_others(home))
    if not opened:
        yield Finding("privacy", "ok", f"only this account can read {home}")
        return
    found = (
        f"{len(opened)} files and folders in {home} are accessible to other accounts, for example {opened[0]}"
    )
    yield Finding("privacy", "fail", found, "start the server once: it corrects the permissions")


def _abandoned(settings: Settings) -> Iterator[Finding]:
    """Find databases that no data folder refers to any more; only if the program runs as root."""
    if os.geteuid() != 0:
        return
    for left in abandoned(base_for(settings.home, settings.store.database_dir)):
        owner = "its data folder is unknown" if left.home is None else f"its data folder {left.home} is gone"
        command = f"rm -rf {shlex.quote(str(left.place))} {shlex.quote(f'{left.place}.home')}"
        yield Finding(
            "database",
            "warn",
            f"{left.place} is no longer used: {owner}",
            f"unless the data folder was moved: {command}",
        )


def _secrets(settings: Settings) -> Iterator[Finding]:
    """Find settings files that contain a secret and can be read by other accounts."""
    named = os.environ.get(CONFIG, "")
    for path in (settings.home / "kuaimei.toml", *([Path(named).expanduser()] if named else [])):
        if not path.is_file():
            continue
        if path.stat().st_mode & _OTHERS and (held := _secrets_in(path)):
            told = f"{path} contains {', '.join(held)} and can be read by other accounts"
            yield Finding("secrets", "warn", told, f"chmod 600 {path}")
        else:
            yield Finding("secrets", "ok", f"{path} exposes no secrets to other accounts")


def _secrets_in(path: Path) -> list[str]:
    """Return the names of the settings in the file that are secret."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    secret = {*_secret_fields(Settings)}

    def walk(value: Any, name: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, key)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner, name)
        elif isinstance(value, str) and value and (name in secret or _PASSWORD.search(value)):
            yield name

    return sorted(set(walk(tables, "")))


def _secret_fields(model: type[BaseModel]) -> Iterator[str]:
    """Yield the names of all secret fields, including those of sections and lists of sections."""
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if kind is SecretStr:
                yield name
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _secret_fields(kind)


def _port(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    try:
        with socket.create_server((server.host, server.port)):
            yield Finding("port", "ok", f"{server.host}:{server.port} is free")
    except OSError as error:
        yield Finding(
            "port",
            "warn",
            f"{server.host}:{server.port}: {error.strerror}",
            "kuaimei may be running already; otherwise set KUAIMEI_SERVER__PORT to another port",
        )


def _gpu(settings: Settings) -> Iterator[Finding]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Finding("gpu", "ok", "none: all engines run on the CPU")
        return
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(  # noqa: S603
            query, env=bare_environment(), capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        yield Finding(
            "gpu", "warn", "nvidia-smi does not answer", "reinstall the driver; until then the CPU is used"
        )
        return
    cards = "; ".join(answer.stdout.split("\n")).strip("; ")
    yield Finding(
        "gpu",
        "ok",
        cards,
        "to use it, serve the models with vLLM or a similar server and set KUAIMEI_LLM=http://…/v1",
    )
