"""Subprocess that installs the training environment; paused during conversations."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.voices.training.environment.errors import NotMade
from kuaimei.voices.training.environment.requirements import Build, Recipe

__all__ = ["Making", "Outcome", "run_making"]

_log = logging.getLogger(__name__)

_SPAWN_CHILD: Final = Path(__file__).parents[1] / "_spawn_child.py"
_SOURCES: Final = Path(__file__).parents[4]
_LINE: Final = 1 << 16
_KEPT: Final = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH"),
    *("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "VIRTUAL_ENV"),  # where pip's configuration is
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
"""Environment variables passed on, in capitals: what accessing an index needs, no secret of the server."""
_KEPT_PREFIX: Final = "PIP_"

Outcome: TypeAlias = Literal["done", "busy"]


@dataclass(frozen=True, slots=True)
class Making:
    """Progress of the installation.

    Attributes:
        fraction: Fraction done, from 0 to 1.
        doing: Current activity.
        size: Total bytes to download; None: not known yet.
        held: Paused because of a conversation.
    """

    fraction: float = 0.0
    doing: str = ""
    size: int | None = None
    held: bool = False


async def run_making(
    home: Path, build: Build, recipe: Recipe, idle_monitor: IdleMonitor, changed: Callable[[Making], None]
) -> Outcome:
    """Install the environment in a process of the lowest priority that is paused during conversations.

    Cancelling kills the process, which may be interrupted anywhere.

    Args:
        home: The data folder.
        build: Build of torch.
        recipe: Packages to install.
        idle_monitor: Reports conversations.
        changed: Called with each change of progress.

    Returns:
        ``done``, or ``busy`` if another process is installing it.

    Raises:
        NotMade: If the installation failed, saying why.
    """
    order = {
        "home": str(home),
        "build": build,
        "recipe": {
            "packages": str(recipe.packages),
            "cuda": str(recipe.cuda),
            "torch_index": recipe.torch_index,
            "trial": recipe.trial,
        },
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(_SPAWN_CHILD),
        str(os.getpid()),
        sys.executable,
        "-m",
        "kuaimei.voices.training.environment",
        json.dumps(order),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_surroundings(),
        limit=_LINE,
        start_new_session=True,  # so that signals reach its child processes, too
    )
    making = Making()

    def tell(**news: Any) -> None:
        nonlocal making
        values = {name: getattr(making, name) for name in Making.__slots__}
        making = Making(**{**values, **news})
        changed(making)

    def hold(busy: bool) -> None:
        if process.returncode is None:
            _signal(process, signal.SIGSTOP if busy else signal.SIGCONT)
            tell(held=busy)

    unsubscribe = idle_monitor.subscribe(hold)
    try:
        return await _listen(process, tell)
    finally:
        unsubscribe()
        _signal(process, signal.SIGKILL)
        await process.wait()


async def _listen(process: asyncio.subprocess.Process, tell: Callable[..., None]) -> Outcome:
    assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
    outcome: Outcome | None = None
    async for line in process.stdout:
        event = json.loads(line)
        match event["event"]:
            case "planned":
                tell(size=int(event["size"]))
            case "progress":
                tell(fraction=float(event["fraction"]), doing=str(event["doing"]))
            case "done":
                outcome = "done"
            case "busy":
                outcome = "busy"
            case "failed":
                raise NotMade(str(event["message"]))
    status = await process.wait()
    if outcome is None:
        raise NotMade(f"the installation of the training environment exited with status {status}")
    return outcome


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to the process and its children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _surroundings() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _KEPT or name.startswith(_KEPT_PREFIX)
    }
    return {**kept, "PYTHONPATH": str(_SOURCES), "PYTHONUNBUFFERED": "1"}
