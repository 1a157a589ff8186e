"""Fixtures for every room."""

import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.virtual_time import run_virtually

# No server of a test makes an environment for learning voices: tests of that say so.
os.environ["KUAIMEI_VOICES__ENVIRONMENT"] = "off"


@pytest.fixture
def on_virtual_time() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine on a clock that jumps."""
    return run_virtually
