"""Process that installs the training environment: ``python -m kuaimei.voices.training.environment ORDER``.

``ORDER`` is the JSON that `process.run_making` builds. Standard output carries JSON lines and nothing else:
``planned``, ``progress``, at last ``done``, ``busy`` or ``failed``. It may be killed at any moment.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import psutil  # type: ignore[import-untyped]

from kuaimei.voices.training.environment.errors import BeingMade, NotMade
from kuaimei.voices.training.environment.install import make_environment
from kuaimei.voices.training.environment.requirements import Build, Recipe

_USAGE = 64
_LOWEST = 19


class _Lines:
    """Writes events for the parent process, one flushed line each."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._said = ""

    def planned(self, size: int) -> None:
        self.say(event="planned", size=size)

    def progress(self, fraction: float, doing: str) -> None:
        # A download reports thousands of times.
        rounded = round(min(max(fraction, 0.0), 1.0), 3)
        if self._said != (said := f"{rounded} {doing}"):
            self._said = said
            self.say(event="progress", fraction=rounded, doing=doing)

    def say(self, **event: object) -> None:
        self._out.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._out.flush()


def main(arguments: list[str]) -> int:
    """Run the install that ``arguments`` describe; return the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m kuaimei.voices.training.environment ORDER\n")
        return _USAGE
    home, build, recipe = _read(arguments[0])
    lines = _Lines(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # output of libraries must not mix with the events
    _stand_back()
    try:
        make_environment(home, build, lines, recipe)
    except BeingMade:
        lines.say(event="busy")
    except NotMade as error:
        lines.say(event="failed", message=str(error))
        return 1
    else:
        lines.say(event="done")
    return 0


def _read(order: str) -> tuple[Path, Build, Recipe]:
    given: dict[str, Any] = json.loads(order)
    recipe = given["recipe"]
    return (
        Path(given["home"]),
        "cuda" if given["build"] == "cuda" else "cpu",
        Recipe(Path(recipe["packages"]), Path(recipe["cuda"]), recipe["torch_index"], recipe["trial"]),
    )


def _stand_back() -> None:
    """Set the lowest CPU and disk priority."""
    os.nice(_LOWEST)
    if sys.platform == "linux":
        with contextlib.suppress(psutil.Error, OSError):
            psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
