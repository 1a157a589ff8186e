"""``kuaimei doctor``: is this machine fit, and how to mend what is not."""

import asyncio
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import psutil  # type: ignore[import-untyped]
import typer

from kuaimei.cli import console
from kuaimei.errors import KuaimeiError
from kuaimei.models.resolve import resolve, roles
from kuaimei.settings import Settings
from kuaimei.store import open_store

__all__ = ["Finding", "doctor", "examine"]

_NEEDED_CORES = 2
_NEEDED_MEMORY = 4 * 2**30
"""The default engines take about 3.2 GB."""
_NEEDED_DISK = 3 * 2**30
"""The default weights take about 2 GB on their way in."""

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``mend`` says in one line what to do, empty if nothing need be done."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON on stdout.")] = False,
) -> None:
    """Check cores, memory, disk, weights, database, port and GPU; status 1 if something must be mended."""
    settings = console.settings_from()
    findings = list(examine(settings))
    if as_json:
        console.print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        marks = {"ok": "✓", "warn": "!", "fail": "✗"}
        console.print_table(
            ["", "check", "found", "how to mend it"],
            [[marks[f.verdict], f.check, f.found, f.mend] for f in findings],
        )
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check, one after the other."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _python,
        _cores,
        _memory,
        _disk,
        _weights,
        _database,
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
    found = f"{usable} usable, {settings.engines.cores} lent to the engines"
    if settings.engines.cores > usable:
        yield Finding(
            "cores", "warn", found, f"set KUAIMEI_ENGINES__CORES={usable}: more only gets in its own way"
        )
    elif usable < _NEEDED_CORES:
        yield Finding(
            "cores", "warn", found, f"give it {_NEEDED_CORES} cores, or set KUAIMEI_ASR=whisper-base"
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
            "close something, or set KUAIMEI_LLM=qwen2.5-coder-0.5b KUAIMEI_ASR=whisper-base",
        )


def _disk(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    there = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 2**30:.1f} GB free for {home}"
    if not os.access(there, os.W_OK):
        yield Finding(
            "disk", "fail", f"{there} is not writable", "set KUAIMEI_HOME to a folder that is yours"
        )
    elif free < settings.store.disk_full_mb * 2**20:
        yield Finding("disk", "fail", found, "make room: so nearly full no sound is recorded")
    elif free < max(_NEEDED_DISK, settings.store.disk_low_mb * 2**20):
        yield Finding("disk", "warn", found, "make room, or set KUAIMEI_HOME to a folder on a larger disk")
    else:
        yield Finding("disk", "ok", found)


def _weights(settings: Settings) -> Iterator[Finding]:
    for role, value in roles(settings).items():
        if value == "none":
            yield Finding(role, "ok", "left out")
            continue
        try:
            source = resolve(role, value, settings.weights_dir)
        except KuaimeiError as error:
            yield Finding(role, "fail", value, str(error))
            continue
        where: str | Path = source.url or source.path or "built in"
        yield Finding(role, "ok", f"{source.name}: {where}")


def _database(settings: Settings) -> Iterator[Finding]:
    if not settings.store.keep:
        yield Finding("database", "ok", "nothing is kept (store.keep is off)")
        return

    async def check() -> str:
        async with open_store(settings) as store:
            await store.health()
            return store.describe()

    try:
        yield Finding("database", "ok", asyncio.run(check()))
    except KuaimeiError as error:
        yield Finding("database", "fail", "cannot be opened", str(error))


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
            "kuaimei may be running already; otherwise set KUAIMEI_SERVER__PORT to another",
        )


def _gpu(settings: Settings) -> Iterator[Finding]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Finding("gpu", "ok", "none: every engine runs on the processor")
        return
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        yield Finding(
            "gpu", "warn", "nvidia-smi does not answer", "reinstall the driver; until then the CPU does it"
        )
        return
    cards = "; ".join(answer.stdout.split("\n")).strip("; ")
    yield Finding(
        "gpu",
        "ok",
        cards,
        "to use it, serve the models with vLLM and the like and set KUAIMEI_LLM=http://…/v1",
    )
