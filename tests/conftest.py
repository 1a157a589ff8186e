"""Fixtures for every room."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.virtual_time import run_virtually


@pytest.fixture
def on_virtual_time() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine on a clock that jumps."""
    return run_virtually
