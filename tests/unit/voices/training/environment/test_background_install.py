"""When the environment for learning is made, and what is said of it; the making itself is a stand-in here."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

import pytest

from kuaimei.dialogue.events import SpeechStarted
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.settings import Settings, VoiceSettings
from kuaimei.voices.training.environment import background_install
from kuaimei.voices.training.environment.background_install import LearningEnvironment
from kuaimei.voices.training.environment.errors import NotMade
from kuaimei.voices.training.environment.paths import places
from kuaimei.voices.training.environment.process import Making
from kuaimei.voices.training.environment.requirements import Recipe
from kuaimei.voices.training.environment.state import EnvironmentState
from tests.support.tiny_packages import recipe, requirement

OnVirtualTime = Callable[[Coroutine[Any, Any, None]], None]
Make = Callable[[Callable[[Making], None]], Awaitable[str]]


class World:
    """An environment whose making is what the test says."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **voices: Any) -> None:
        self.recipe = recipe(tmp_path, requirement("one", "1.0", b"x"))
        self.settings = Settings(
            home=tmp_path / "home", voices=VoiceSettings(**{"environment": "cpu", **voices})
        )
        self.python = places(self.settings.home, "cpu", self.recipe).python
        self.makings: list[Make] = []
        self.began: list[float] = []
        self.told: list[EnvironmentState] = []
        self.came = 0
        monkeypatch.setattr(background_install, "run_making", self._run)

    def open(self) -> LearningEnvironment:
        """On a running loop."""
        self.idle_monitor = IdleMonitor()
        environment = LearningEnvironment(self.settings, self.idle_monitor, self.recipe)
        environment.changed.append(self.told.append)
        return environment

    async def come(self) -> None:
        self.came += 1

    def finish(self) -> None:
        self.python.parent.mkdir(parents=True)
        self.python.touch()

    async def done(self, changed: Callable[[Making], None]) -> str:
        self.finish()
        return "done"

    async def _run(
        self,
        home: Path,
        build: str,
        given: Recipe,
        idle_monitor: IdleMonitor,
        changed: Callable[[Making], None],
    ) -> str:
        assert (home, build, given) == (self.settings.home, "cpu", self.recipe)
        self.began.append(asyncio.get_running_loop().time())
        return await self.makings.pop(0)(changed)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    return lambda **voices: World(tmp_path, monkeypatch, **voices)


async def away(changed: Callable[[Making], None]) -> str:
    raise NotMade("the index is away")


def test_it_is_made_after_the_start_and_then_it_is_told(
    world: Callable[..., World], on_virtual_time: OnVirtualTime
) -> None:
    given = world()

    async def make(changed: Callable[[Making], None]) -> str:
        changed(Making(0.0, "looking"))
        changed(Making(0.0, "looking", 5_000_000))
        await asyncio.sleep(30)
        changed(Making(0.25, "downloading", 5_000_000))
        return await given.done(changed)

    async def life() -> None:
        environment = given.open()
        assert environment.state.state == "unavailable"
        assert "kuaimei setup" in environment.state.detail
        assert environment.hindrance == ""
        given.makings.append(make)
        await environment.keep(given.come)
        assert (environment.state.state, environment.state.progress, given.came) == ("ready", 1.0, 1)
        await environment.keep(given.come)
        assert given.came == 1

    on_virtual_time(life())
    assert [(state.state, state.progress, state.size) for state in given.told] == [
        ("waiting", None, None),
        ("making", 0.0, None),
        ("making", 0.0, 5_000_000),
        ("making", 0.25, 5_000_000),
        ("ready", 1.0, None),
    ]
    assert given.told[3].eta_s == 90
    assert "downloading" in given.told[3].detail


def test_it_is_tried_again_ever_later_and_the_reason_is_told(
    world: Callable[..., World], on_virtual_time: OnVirtualTime
) -> None:
    given = world()

    async def life() -> None:
        environment = given.open()
        given.makings += [away] * 12
        given.makings.append(given.done)
        await environment.keep(given.come)

    on_virtual_time(life())
    pauses = [round(b - a) for a, b in zip(given.began, given.began[1:], strict=False)]
    assert pauses[:4] == [60, 120, 240, 480]
    assert pauses[-1] == 6 * 3600
    failed = [state for state in given.told if state.state == "unavailable"]
    assert failed[0].detail == "the index is away; trying again in 1 min"
    assert failed[-1].detail.endswith("6 h")
    assert given.told[-1].state == "ready"
    assert given.came == 1


def test_nothing_is_begun_while_somebody_talks(
    world: Callable[..., World], on_virtual_time: OnVirtualTime
) -> None:
    given = world()

    async def life() -> None:
        environment = given.open()
        watch = given.idle_monitor.watch("sess_a")
        watch(SpeechStarted(1, 0.0, 0.0))
        given.makings.append(given.done)
        keeping = asyncio.ensure_future(environment.keep(given.come))
        await asyncio.sleep(100)
        assert environment.state.state == "waiting"
        assert "nobody is talking" in environment.state.detail
        assert given.began == []
        watch.close()
        await keeping

    on_virtual_time(life())


def test_while_it_stands_still_it_is_said_to_wait(
    world: Callable[..., World], on_virtual_time: OnVirtualTime
) -> None:
    given = world()

    async def make(changed: Callable[[Making], None]) -> str:
        await asyncio.sleep(10)
        changed(Making(0.5, "unpacking", 1))
        changed(Making(0.5, "unpacking", 1, held=True))
        await asyncio.sleep(1000)
        changed(Making(0.5, "unpacking", 1))
        return await given.done(changed)

    async def life() -> None:
        environment = given.open()
        given.makings.append(make)
        await environment.keep(given.come)

    on_virtual_time(life())
    held, going = given.told[-3:-1]
    assert (held.state, going.state) == ("waiting", "making")
    assert going.eta_s == 10  # the time in which it stood still does not count


def test_another_process_may_be_making_it(
    world: Callable[..., World], on_virtual_time: OnVirtualTime
) -> None:
    given = world()

    async def busy(changed: Callable[[Making], None]) -> str:
        return "busy"

    async def life() -> None:
        environment = given.open()
        given.makings += [busy] * 4
        asyncio.get_running_loop().call_later(17, given.finish)
        await environment.keep(given.come)
        assert given.came == 1

    on_virtual_time(life())
    assert any("another process" in state.detail for state in given.told)


def test_made_and_not_there_is_a_failure_and_no_reason_to_hurry(
    world: Callable[..., World], on_virtual_time: OnVirtualTime
) -> None:
    given = world()

    async def nothing(changed: Callable[[Making], None]) -> str:
        return "done"

    async def life() -> None:
        environment = given.open()
        given.makings += [nothing, given.done]
        await environment.keep(given.come)

    on_virtual_time(life())
    assert given.began[1] - given.began[0] == pytest.approx(60)


def test_if_what_follows_fails_it_is_told_again(
    world: Callable[..., World], on_virtual_time: OnVirtualTime
) -> None:
    given = world()

    async def life() -> None:
        environment = given.open()
        given.makings.append(given.done)

        async def refuse() -> None:
            raise RuntimeError("the database is away")

        with pytest.raises(RuntimeError):
            await environment.keep(refuse)
        await environment.keep(given.come)
        assert given.came == 1

    on_virtual_time(life())


@pytest.mark.parametrize(
    ("voices", "state", "detail"),
    [
        ({"environment": "off"}, "off", "SLIM=1"),
        ({"python": "/nowhere/python"}, "unavailable", "KUAIMEI_VOICES__PYTHON"),
    ],
)
def test_none_is_made_where_none_is_wanted(
    world: Callable[..., World],
    on_virtual_time: OnVirtualTime,
    voices: dict[str, Any],
    state: Literal["off", "unavailable"],
    detail: str,
) -> None:
    given = world(**voices)

    async def life() -> None:
        environment = given.open()
        await environment.keep(given.come)
        assert environment.state.state == state
        assert detail in environment.state.detail
        assert environment.hindrance == environment.state.detail

    on_virtual_time(life())
    assert given.began == []


def test_where_it_would_be_of_no_use_it_waits_until_it_is(
    world: Callable[..., World], on_virtual_time: OnVirtualTime
) -> None:
    given = world()
    lacking = "weights are missing"

    async def life() -> None:
        nonlocal lacking
        environment = given.open()
        given.makings.append(given.done)
        keeping = asyncio.ensure_future(environment.keep(given.come, useless=lambda: lacking))
        await asyncio.sleep(1000)
        assert (environment.state.state, environment.state.detail) == ("off", lacking)
        lacking = ""
        await keeping

    on_virtual_time(life())
    assert len(given.began) == 1


def test_what_is_there_already_is_ready(world: Callable[..., World], on_virtual_time: OnVirtualTime) -> None:
    given = world(environment="off")
    given.settings = given.settings.model_copy(update={"voices": VoiceSettings(environment="cpu")})
    given.finish()

    async def life() -> None:
        environment = given.open()
        assert environment.state.state == "ready"
        await environment.keep(given.come)
        assert given.came == 0  # whoever opened it has seen that

    on_virtual_time(life())
