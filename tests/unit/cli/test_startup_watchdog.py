"""A start that hangs is told, and ended, whatever it hangs on."""

import subprocess
import sys
import threading
from typing import TypeAlias

import pytest

from kuaimei.cli import startup_watchdog
from kuaimei.cli.startup_watchdog import StartWatch

Done: TypeAlias = "subprocess.CompletedProcess[str]"

BEGINNING = """
import ctypes, sys, time
from kuaimei.cli import startup_watchdog
from kuaimei.cli.startup_watchdog import StartWatch

def note(line):
    print(line, file=sys.stderr, flush=True)

startup_watchdog._GRACE_S = {grace_s}
with StartWatch({timeout_s}, note, {give_up}) as watch:
    watch.expect(["asr", "turn"])
    watch.ready("turn")
    {hang}
"""


def started(hang: str, *, give_up: str = "lambda: note('given up')", grace_s: float = 60.0) -> Done:
    script = BEGINNING.format(timeout_s=0.5, hang=hang, give_up=give_up, grace_s=grace_s)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_start_that_never_ends_is_ended_and_told() -> None:
    done = started("time.sleep(600)")
    assert done.returncode == 1
    assert "still waiting for asr; exiting now" in done.stderr
    assert "KUAIMEI_SERVER__START_TIMEOUT_S" in done.stderr
    assert 'File "<string>"' in done.stderr  # where it stood
    assert done.stderr.endswith("given up\n")


def test_it_is_ended_while_the_lock_of_the_interpreter_is_held_for_ever() -> None:
    done = started("ctypes.PyDLL(None).sleep(600)", grace_s=0.5)
    assert done.returncode == 1
    assert "ready: turn" in done.stderr
    assert "waiting for asr" in done.stderr  # told before, as nothing can be told then
    assert 'File "<string>"' in done.stderr
    assert "given up" not in done.stderr


def test_it_is_ended_when_giving_up_hangs_as_well() -> None:
    done = started("time.sleep(600)", give_up="lambda: time.sleep(600)", grace_s=0.5)
    assert done.returncode == 1


def test_a_start_that_ends_is_left_alone() -> None:
    done = started("watch.ready('asr'); watch.close(); time.sleep(2.0)")
    assert done.returncode == 0
    assert "still" not in done.stderr
    assert "waiting for" not in done.stderr.splitlines()[-1]


def test_what_a_slow_start_waits_for_is_told_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup_watchdog, "_FIRST_S", 0.01)
    monkeypatch.setattr(startup_watchdog, "_EVERY_S", 0.01)
    told: list[str] = []
    thrice = threading.Event()

    def note(line: str) -> None:
        told.append(line)
        if len(told) >= 4:
            thrice.set()

    with StartWatch(600.0, note) as watch:
        watch.expect(["asr", "turn"])
        assert thrice.wait(60)
    assert any("waiting for: asr, turn" in line for line in told)
