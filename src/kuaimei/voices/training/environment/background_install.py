"""Background installation of the training environment: retries until it is there, and reports progress."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.settings import Settings
from kuaimei.system.failures import trace_of
from kuaimei.voices.training.environment.errors import NotMade
from kuaimei.voices.training.environment.paths import interpreter_path
from kuaimei.voices.training.environment.process import Making, run_making
from kuaimei.voices.training.environment.requirements import RECIPE, Recipe, Wish, build_for
from kuaimei.voices.training.environment.state import EnvironmentState

__all__ = ["LearningEnvironment", "missing_interpreter"]

_log = logging.getLogger(__name__)

_AFTER_START_S: Final = 5.0
"""Delay after a start: its first use is usually a conversation."""
_LOOK_AGAIN_S: Final = 60.0
"""Interval at which an obstacle, such as missing weights, is checked again."""
_LOOK_S: Final = 5.0
"""Interval at which an installation by another process is checked."""
_FIRST_RETRY_S: Final = 60.0
_MAX_RETRY_S: Final = 6 * 3600.0
_SURE: Final = 0.05
"""Fraction from which on the remaining time is estimated."""

_READY: Final = "the training environment is ready"
_LEFT_OUT: Final = (
    "the training environment is disabled (KUAIMEI_VOICES__ENVIRONMENT=off, or SLIM=1): voices can be "
    "used, but not trained"
)
_NOT_BEGUN: Final = (
    "the training environment is not installed yet: the server installs it automatically while it runs, "
    "'kuaimei setup' installs it at once"
)
_SOON: Final = "the training environment will be installed in a moment"
_ELSEWHERE: Final = "another process is installing the training environment"
_HELD: Final = "the training environment will be installed when nobody is talking"


class LearningEnvironment:
    """Training environment of this data folder; use on the event loop only.

    Args:
        settings: Where it lies, and whether it is wanted.
        idle_monitor: Reports conversations; the installation is paused meanwhile.
        recipe: Packages to install.
    """

    def __init__(self, settings: Settings, idle_monitor: IdleMonitor, recipe: Recipe = RECIPE) -> None:
        self._settings = settings
        self._idle_monitor = idle_monitor
        self._recipe = recipe
        self._path = interpreter_path(settings, recipe)
        self._state = EnvironmentState("unavailable", _NOT_BEGUN)
        self._announced = self.python() is not None
        self.changed: list[Callable[[EnvironmentState], None]] = []

    def python(self) -> Path | None:
        """Return its interpreter; None if it is not installed (yet)."""
        return self._path if self._path.is_file() else None

    @property
    def state(self) -> EnvironmentState:
        """Current state of the environment."""
        if self.python() is not None:
            return EnvironmentState("ready", _READY, 1.0)
        if self._settings.voices.python:
            return EnvironmentState("unavailable", missing_interpreter(self._settings))
        if self._settings.voices.environment == "off":
            return EnvironmentState("off", _LEFT_OUT)
        return self._state

    @property
    def hindrance(self) -> str:
        """Why no environment will exist unless settings change, in one sentence; else empty."""
        return self.state.detail if self._settled else ""

    @property
    def _settled(self) -> bool:
        """True if waiting is useless: the environment is missing and the settings rule out installing it."""
        voices = self._settings.voices
        return self.python() is None and (bool(voices.python) or voices.environment == "off")

    async def keep(
        self,
        came: Callable[[], Awaitable[None]],
        *,
        useless: Callable[[], str] = str,
        after_s: float = _AFTER_START_S,
    ) -> None:
        """Install the environment, retrying with back-off; return once it exists, or if none is wanted.

        Args:
            came: Called when it is installed. If it raises, call `keep` again.
            useless: Returns why the environment is of no use here, in one sentence; empty if it is useful.
            after_s: Seconds to wait before starting.
        """
        if self._settled:
            self._tell()
            return
        while self.python() is None and (reason := useless()):
            self._change(EnvironmentState("off", reason))
            await asyncio.sleep(_LOOK_AGAIN_S)
        retry_s = _FIRST_RETRY_S
        if self.python() is None:
            self._change(EnvironmentState("waiting", _SOON))
            await asyncio.sleep(after_s)
        while self.python() is None:
            if self._idle_monitor.busy:
                self._change(EnvironmentState("waiting", _HELD))
                await self._idle_monitor.wait()
            try:
                if await self._make() == "busy":
                    self._change(EnvironmentState("waiting", _ELSEWHERE))
                    await self._watch(_LOOK_S)
                elif self.python() is None:
                    raise NotMade(f"the training environment was installed, but is not at {self._path}")
            except NotMade as error:
                again = f"trying again in {_span(retry_s)}"
                self._change(EnvironmentState("unavailable", f"{error}; {again}"))
                await self._watch(retry_s)
                retry_s = min(2 * retry_s, _MAX_RETRY_S)
        if not self._announced:
            await came()
            self._announced = True
            self._tell()

    async def _make(self) -> str:
        loop = asyncio.get_running_loop()
        started = loop.time()
        held_since: float | None = None
        held_s = 0.0

        def changed(making: Making) -> None:
            nonlocal held_since, held_s
            now = loop.time()
            if making.held and held_since is None:
                held_since = now
            elif not making.held and held_since is not None:
                held_s, held_since = held_s + now - held_since, None
            spent_s = now - started - held_s
            self._change(_to_state(making, spent_s))

        build = build_for(_wish(self._settings))
        return await run_making(self._settings.home, build, self._recipe, self._idle_monitor, changed)

    async def _watch(self, seconds: float) -> None:
        """Sleep, but return early if another process has installed the environment."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self.python() is None and (rest := until - loop.time()) > 0:  # noqa: ASYNC110 - others make it
            await asyncio.sleep(min(rest, _LOOK_S))

    def _change(self, state: EnvironmentState) -> None:
        if state != self._state:
            self._state = state
            self._tell()

    def _tell(self) -> None:
        state = self.state
        for told in self.changed:
            try:
                told(state)
            except Exception as error:  # the other subscribers must still be notified
                _log.error(
                    "a subscriber to the state of the training environment failed:\n%s", trace_of(error)
                )


def missing_interpreter(settings: Settings) -> str:
    """Return what is wrong with the interpreter that the settings name."""
    return (
        f"the interpreter {settings.voices.python} does not exist: correct KUAIMEI_VOICES__PYTHON, or leave "
        "it empty to use the environment that is installed automatically"
    )


def _to_state(making: Making, spent_s: float) -> EnvironmentState:
    doing = f": {making.doing}" if making.doing else ""
    detail = f"the training environment is being installed{doing}"
    eta_s = None
    if making.fraction >= _SURE:
        eta_s = round(spent_s * (1.0 - making.fraction) / making.fraction)
    state = EnvironmentState("making", detail, making.fraction, eta_s, making.size)
    return replace(state, state="waiting", detail=_HELD) if making.held else state


def _wish(settings: Settings) -> Wish:
    wish = settings.voices.environment
    return "auto" if wish == "off" else wish


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
