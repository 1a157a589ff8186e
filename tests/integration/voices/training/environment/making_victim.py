"""A server that has the environment for learning made, and is killed meanwhile."""

import asyncio
import json
import sys
from pathlib import Path

from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.voices.training.environment.process import Making, run_making
from kuaimei.voices.training.environment.requirements import Recipe


def main(home: str, given: str) -> None:
    """Say each step of it on a line of standard output."""
    values = json.loads(given)
    recipe = Recipe(Path(values["packages"]), Path(values["cuda"]), "", values["trial"])

    def changed(making: Making) -> None:
        sys.stdout.write(f"{making.doing}\n")
        sys.stdout.flush()

    asyncio.run(run_making(Path(home), "cpu", recipe, IdleMonitor(), changed))
