"""Making the environment for learning for real: pip and venv, with tiny packages from a folder."""

import asyncio
import json
import os
import random
import resource
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kuaimei.dialogue.events import SpeechStarted
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.voices.training.environment.errors import BeingMade, NotMade
from kuaimei.voices.training.environment.install import bring_packages, make_environment
from kuaimei.voices.training.environment.paths import places
from kuaimei.voices.training.environment.process import Making, run_making
from kuaimei.voices.training.environment.requirements import Recipe
from tests.support.tiny_packages import recipe, requirement, wheel, write_packages

ONE = wheel("one", "1.0")
TORCH = wheel("torch", "2.0+cpu", random.Random(1).randbytes(300_000))
LISTED = (requirement("one", "1.0", ONE[1]), requirement("torch", "2.0", TORCH[1]))
SPEECH = SpeechStarted(1, 0.0, 0.0)
GATE = "import pathlib, sys, time\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)"


class Heard:
    """Remembers what is reported."""

    def __init__(self) -> None:
        self.size: int | None = None
        self.steps: list[tuple[float, str]] = []

    def planned(self, size: int) -> None:
        self.size = size

    def progress(self, fraction: float, doing: str) -> None:
        self.steps.append((fraction, doing))


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks for packages."""
    folder = write_packages(tmp_path / "links", ONE, TORCH)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def whole(tmp_path: Path, trial: str = "import one, torch") -> Recipe:
    return recipe(tmp_path / "recipe", *LISTED, trial=trial)


def told(given: Recipe) -> str:
    return json.dumps({"packages": str(given.packages), "cuda": str(given.cuda), "trial": given.trial})


def test_it_is_made_of_what_is_listed_and_nothing_is_left_beside_it(
    tmp_path: Path, home: Path, links: Path
) -> None:
    seen = tmp_path / "seen.json"
    trial = f"import json, os, one, torch; json.dump(dict(os.environ), open({str(seen)!r}, 'w'))"
    given, heard = whole(tmp_path, trial), Heard()
    python = make_environment(home, "cpu", heard, given)
    place = places(home, "cpu", given)
    assert python == place.python
    assert heard.size == len(ONE[1]) + len(TORCH[1])
    fractions = [fraction for fraction, _ in heard.steps]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert {path.name for path in place.root.iterdir()} == {place.whole.name, "lock"}
    # Nothing of the server's surroundings reaches what runs in it, and pip is asked to ask nobody.
    surroundings = json.loads(seen.read_text())
    assert not [name for name in surroundings if name.startswith(("KUAIMEI_", "PIP_NO", "PIP_FIND"))]
    again = Heard()
    assert make_environment(home, "cpu", again, given) == python
    assert again.size is None


def test_an_older_one_goes_when_the_new_one_is_whole(tmp_path: Path, home: Path, links: Path) -> None:
    old = recipe(tmp_path / "old", LISTED[0])
    first = make_environment(home, "cpu", Heard(), old)
    broken = recipe(tmp_path / "broken", LISTED[1], trial="import nothing_of_that_name")
    with pytest.raises(NotMade, match="do not work"):
        make_environment(home, "cpu", Heard(), broken)
    assert first.is_file()
    place = places(home, "cpu", broken)
    assert not place.whole.exists()
    assert "nothing_of_that_name" in place.log.read_text()
    make_environment(home, "cpu", Heard(), whole(tmp_path))
    assert not first.exists()


def test_packages_can_be_brought_in_a_folder(
    tmp_path: Path, home: Path, links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = whole(tmp_path)
    bring_packages(tmp_path / "brought", "cpu", Heard(), given)
    assert {path.name for path in (tmp_path / "brought").iterdir()} == {ONE[0], TORCH[0]}
    for path in links.iterdir():
        path.unlink()
    with pytest.raises(NotMade, match="PIP_FIND_LINKS"):
        make_environment(home, "cpu", Heard(), given)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "brought"))
    assert make_environment(home, "cpu", Heard(), given).is_file()


def test_without_index_and_folder_nobody_is_asked(
    tmp_path: Path, home: Path, links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(NotMade, match="no-index"):
        make_environment(home, "cpu", Heard(), whole(tmp_path))


def test_a_package_that_was_changed_is_not_installed(tmp_path: Path, home: Path, links: Path) -> None:
    given = whole(tmp_path)
    (links / ONE[0]).write_bytes(wheel("one", "1.0", b"somebody else's")[1])
    with pytest.raises(NotMade, match=r"one 1\.0 is offered, but none of its files"):
        make_environment(home, "cpu", Heard(), given)


def test_of_two_at_once_one_makes_it(tmp_path: Path, home: Path, links: Path) -> None:
    given = whole(tmp_path)
    place = places(home, "cpu", given)
    assert not place.being_made()
    with place.claimed() as free:
        assert free
        assert place.being_made()
        with pytest.raises(BeingMade):
            make_environment(home, "cpu", Heard(), given)
    assert not place.being_made()


def test_a_disk_that_is_too_full_is_told_before_anything_is_fetched(
    tmp_path: Path, home: Path, links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Free(68_000_000))
    with pytest.raises(NotMade, match=r"not enough space on the disk of .* needed"):
        make_environment(home, "cpu", Heard(), whole(tmp_path))
    assert not list(places(home, "cpu", whole(tmp_path)).packages.iterdir())


class Free:
    def __init__(self, free: int) -> None:
        self.free = free


async def run(home: Path, given: Recipe, changed: Callable[[Making], None] = lambda making: None) -> str:
    return await run_making(home, "cpu", given, IdleMonitor(), changed)


@pytest.mark.parametrize("content", [random.Random(2).randbytes(9_000_000), b"\0" * 9_000_000])
async def test_a_disk_that_becomes_full_is_told_and_later_it_goes_on(
    tmp_path: Path, home: Path, links: Path, content: bytes
) -> None:
    """While a package is downloaded, or while one that is small is unpacked: no file may grow so long."""
    large = wheel("large", "1.0", content)
    write_packages(links, large)
    given = recipe(tmp_path / "recipe", requirement("large", "1.0", large[1]), trial="import large")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, before[1]))
    try:
        with pytest.raises(NotMade, match="is full: free some space"):
            await run(home, given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not places(home, "cpu", given).whole.exists()
    assert await run(home, given) == "done"


async def test_two_processes_at_once_end_with_one_environment(
    tmp_path: Path, home: Path, links: Path
) -> None:
    given = whole(tmp_path)
    outcomes = await asyncio.gather(*(run(home, given) for _ in range(3)))
    assert "done" in outcomes
    assert set(outcomes) <= {"done", "busy"}
    place = places(home, "cpu", given)
    assert {path.name for path in place.root.iterdir()} == {place.whole.name, "lock"}


def alive(pid: int) -> bool:
    return state_of(pid) not in ("", "Z", "X")


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def surroundings_of(pid: int) -> Mapping[str, str]:
    read = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(item.split("=", 1) for item in read if "=" in item)


def making_processes(home: Path) -> list[int]:
    """Whatever runs with the data folder in its command line, besides this process."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if folder.name.isdigit() and int(folder.name) != os.getpid() and str(home).encode() in command:
            found.append(int(folder.name))
    return found


async def eventually(condition: Callable[[], bool]) -> None:
    """Return when it holds; nothing tells us, for it happens in another process."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def victim(home: Path, given: Recipe) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; from tests.integration.voices.training.environment import making_victim as victim; "
        "victim.main(*sys.argv[1:])",
        str(home),
        told(given),
        stdout=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "KUAIMEI_SERVER__API_KEY": "a secret of the server's",
            "AWS_SECRET_ACCESS_KEY": "another",
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child does not die with its parent")
async def test_killed_in_the_middle_nothing_runs_on_and_the_next_goes_on(
    tmp_path: Path, home: Path, links: Path
) -> None:
    given = whole(tmp_path, GATE.format(str(tmp_path / "gate")) + "\nimport one, torch")
    place = places(home, "cpu", given)
    async with victim(home, given) as process:
        assert process.stdout is not None
        async for line in process.stdout:
            if b"testing the installation" in line:
                break
        assert place.making.is_dir()
        # What makes it, and the trial, which is started after it is told.
        await eventually(lambda: len(set(making_processes(home)) - {process.pid}) >= 2)
        children = [pid for pid in making_processes(home) if pid != process.pid]
        for pid in children:
            values = surroundings_of(pid)
            assert not [name for name in values if name.startswith("KUAIMEI_") or "SECRET" in name]
            assert os.getpriority(os.PRIO_PROCESS, pid) == 19
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await eventually(lambda: not any(alive(pid) for pid in children))
    assert not place.whole.exists()
    assert not place.being_made()
    shutil.rmtree(links)  # nothing is fetched again
    (tmp_path / "gate").touch()
    heard = Heard()
    make_environment(home, "cpu", heard, given)
    assert heard.size == 0
    assert place.python.is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="states of processes are read from /proc")
async def test_it_stands_still_while_somebody_talks(tmp_path: Path, home: Path, links: Path) -> None:
    given = whole(tmp_path, GATE.format(str(tmp_path / "gate")))
    idle_monitor, seen = IdleMonitor(settle_s=0.01), list[Making]()
    running = asyncio.ensure_future(run_making(home, "cpu", given, idle_monitor, seen.append))
    await eventually(lambda: bool(seen) and seen[-1].doing == "testing the installation")
    await eventually(lambda: len(making_processes(home)) >= 2)
    watch = idle_monitor.watch("sess_a")
    watch(SPEECH)
    pids = making_processes(home)
    await eventually(lambda: all(state_of(pid) == "T" for pid in pids))
    assert seen[-1].held
    (tmp_path / "gate").touch()
    watch.close()
    assert await running == "done"
    assert not seen[-1].held


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
async def test_cancelled_it_is_gone_at_once_even_if_it_stands_still(
    tmp_path: Path, home: Path, links: Path
) -> None:
    given = whole(tmp_path, GATE.format(str(tmp_path / "gate")))
    idle_monitor, seen = IdleMonitor(settle_s=0.01), list[Making]()
    running = asyncio.ensure_future(run_making(home, "cpu", given, idle_monitor, seen.append))
    await eventually(lambda: bool(seen) and seen[-1].doing == "testing the installation")
    await eventually(lambda: len(making_processes(home)) >= 2)
    idle_monitor.watch("sess_a")(SPEECH)
    pids = making_processes(home)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await eventually(lambda: not any(alive(pid) for pid in pids))
