"""How behaviours that are not built yet are counted: hooks of pytest."""

from collections.abc import Callable
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter
from pytest_bdd.exceptions import StepDefinitionNotFoundError

from scripts.traceability import KINDS, PLANNED, STORY

__all__ = ["pytest_bdd_apply_tag", "pytest_terminal_summary"]

_WHY = "planned: not built yet; once its steps exist, take @planned away"


def pytest_bdd_apply_tag(tag: str, function: Callable[..., Any]) -> bool | None:
    """Stories and kinds are no marks; what is planned has to lack a step, or it is built.

    A planned scenario whose steps all exist fails: passing, because it is expected to fail; failing,
    because that is no missing step.
    """
    if tag == PLANNED:
        pytest.mark.xfail(strict=True, raises=StepDefinitionNotFoundError, reason=_WHY)(function)
        return True
    return True if tag in KINDS or STORY.fullmatch(tag) else None


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """List what is promised and not there."""
    failed = terminalreporter.stats.get("xfailed", [])
    planned = [r.nodeid for r in failed if getattr(r, "wasxfail", "").removeprefix("reason: ") == _WHY]
    if planned:
        terminalreporter.section(f"planned, not built: {len(planned)} scenarios", sep="-")
        for name in planned:
            terminalreporter.line(name.rpartition("/")[2])
