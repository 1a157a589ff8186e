"""How children are started: never by a fork, and never with the caller's whole environment."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kuaimei
from kuaimei.system.processes import Account, account_named, as_account, bare_environment

SOURCES = Path(kuaimei.__file__).parent
FORKING = {"user", "group", "extra_groups", "preexec_fn"}
"""Of `subprocess.Popen`: what it cannot do by ``vfork()``."""
STARTERS = {
    "subprocess.run",
    "subprocess.Popen",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
    "loop.subprocess_exec",
    "loop.subprocess_shell",
}
FORKS = {"os.fork", "os.forkpty", "pty.fork", "pty.spawn", "os.system", "os.popen", "os.spawnv", "os.spawnve"}


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call in ``source``, with the last two parts of what is called; names imported are resolved."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name: f"{(node.module or '').rpartition('.')[2]}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            dotted = ast.unparse(node.func)
            dotted = imported.get(dotted, dotted)
            yield ".".join(dotted.split(".")[-2:]), node


def offences(source: str) -> list[str]:
    """What in ``source`` could fork, or hands on the whole environment."""
    found = []
    for name, call in calls(source):
        given = {keyword.arg for keyword in call.keywords}
        if name in FORKS or name.endswith("fork_exec"):
            found.append(f"{name} forks")
        if forking := given & FORKING and (name in STARTERS or name.endswith((".Popen", "subprocess_exec"))):
            found.append(f"{name} forks for {forking}")
        handed = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "env"]
        if name in STARTERS and (not handed or "environ" in handed[0].replace("environment", "")):
            found.append(f"{name} hands on the environment of this process")
    tree = ast.parse(source)
    for node in ast.walk(tree):
        names = [alias.name for alias in getattr(node, "names", [])] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [f"imports {name}" for name in names if name.partition(".")[0] in {"multiprocessing", "pty"}]
    return found


def test_nothing_forks_or_hands_on_its_environment() -> None:
    found = {
        str(file.relative_to(SOURCES)): bad
        for file in sorted(SOURCES.rglob("*.py"))
        if (bad := offences(file.read_text(encoding="utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\nsubprocess.run(['x'], env={}, user='y')",
        "from subprocess import Popen as P\nP(['x'], env={}, preexec_fn=print)",
        "import asyncio\nasyncio.create_subprocess_exec('x', env={}, extra_groups=[])",
        "import subprocess as s\nimport subprocess\nsubprocess.check_output(['x'], env={}, group=1)",
        "import os\nos.fork()",
        "import pty\n",
        "from multiprocessing import Process",
        "import subprocess\nsubprocess.run(['x'])",
        "import subprocess\nsubprocess.run(['x'], env=None or {**os.environ})",
        "from asyncio import create_subprocess_exec\ncreate_subprocess_exec('x')",
    ],
)
def test_the_search_finds_each_kind(source: str) -> None:
    assert offences(source)


def test_a_bare_environment_has_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUAIMEI_SERVER__API_KEY", "secret")
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.delenv("TMPDIR", raising=False)
    assert bare_environment("HOME", "TMPDIR", TZ="UTC") == {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "HOME": "/somewhere",
        "TZ": "UTC",
    }


def test_without_an_account_a_command_stays_as_it_is() -> None:
    assert as_account(None, ["/bin/true", "x"]) == ["/bin/true", "x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as somebody else")
def test_another_account_has_nothing_of_ours() -> None:
    nobody = account_named("nobody")
    done = subprocess.run(
        as_account(nobody, ["/bin/cat", "/proc/self/status"]),
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    told = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert told["Uid"].split() == [str(nobody.uid)] * 4
    assert told["Gid"].split() == [str(nobody.gid)] * 4
    assert told["Groups"].split() == []
    assert int(told["CapEff"], 16) == int(told["CapPrm"], 16) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as somebody else")
def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        as_account(account_named("nobody"), [str(tmp_path / "nothing")]),
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 126
    assert "nothing cannot be run as account" in done.stderr


def test_who_may_not_change_the_account_runs_nothing(tmp_path: Path) -> None:
    """As an ordinary user the launcher must fail, not run the program under the wrong account."""
    command = as_account(Account("root", 0, 0), ["/bin/echo", "ran"])
    if os.geteuid() == 0:
        command = as_account(account_named("nobody"), ["/bin/sh", "-c", 'exec "$@"', "-", *command])
    done = subprocess.run(command, env=bare_environment(), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ran" not in done.stdout
    assert sys.executable in command
