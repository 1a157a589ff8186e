"""Start ``kuaimei serve`` many times, several at once, from a cold state: does each become ready and stop?

``python -m bench.starts --times 200 --at-once 3 [--account NAME] [--json]``. Each start has a data folder of
its own with nothing but links to the weights in it, so that the database is created anew. It lasts until
``/readyz`` returns 200, then the server gets SIGINT. Exit status 1 if one did not become ready or stop.

``--account`` starts them as that account (as root only), from weights copied to where it can read them. The
interpreter has to be one that it can run: ``--python`` names another, which gets this one's packages.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

import psutil  # type: ignore[import-untyped]

from kuaimei.runtime import sources
from kuaimei.settings import Settings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.system.accounts import may_pass, may_read
from kuaimei.system.processes import Account, account_named, as_account, bare_environment

ROOT: Final = Path(__file__).parents[1]
_STOP_S: Final = 60.0
_LOG_LINES: Final = 400
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start.

    Attributes:
        folder: Parent of the data folders.
        models: Folder of the weights.
        python: Interpreter to run.
        timeout_s: Maximum seconds of a start.
        account: Account to run as; None: the one of this process.
    """

    folder: Path
    models: Path
    python: str
    timeout_s: float
    account: Account | None


@dataclass(frozen=True, slots=True)
class Start:
    """Result of one start.

    Attributes:
        ready_s: Seconds from the start of the process to ``/readyz`` 200; None: it never became ready.
        stop_s: Seconds from SIGINT to the end of the process; None: it was killed.
        status: Exit status of the process.
        left: Database processes that were left running.
        log: In case of failure: the end of its log, and what its threads waited for.
    """

    number: int
    ready_s: float | None
    stop_s: float | None
    status: int | None
    left: int
    log: str = ""

    @property
    def good(self) -> bool:
        """True if it became ready, stopped by itself, and left nothing running."""
        return self.ready_s is not None and self.stop_s is not None and self.status == 0 and not self.left


async def measure(plan: Plan, times: int, at_once: int) -> list[Start]:
    """Run all starts, ``at_once`` at a time; each is reported on standard error.

    Args:
        plan: What to start.
        times: Number of starts.
        at_once: Number of concurrent starts.
    """
    places = asyncio.Semaphore(at_once)

    async def one(number: int) -> Start:
        async with places:
            found = await _start(plan, number)
        told = "never" if found.ready_s is None else f"{found.ready_s:.1f} s"
        stopped = "killed" if found.stop_s is None else f"{found.stop_s:.1f} s"
        sys.stderr.write(f"{number + 1}/{times}: ready {told}, stopped {stopped}, status {found.status}\n")
        if found.log:
            sys.stderr.write(f"{found.log}\n")
        return found

    return await asyncio.gather(*(one(number) for number in range(times)))


async def _start(plan: Plan, number: int) -> Start:
    home = Path(tempfile.mkdtemp(prefix="start-", dir=plan.folder))
    (home / "models").symlink_to(plan.models)
    if (measured := Settings().home / "runtime.json").exists():
        shutil.copy(measured, home)
    if plan.account is not None:
        for path in (home, *home.iterdir()):
            os.chown(path, plan.account.uid, plan.account.gid, follow_symlinks=False)
    packages = sysconfig.get_paths()["purelib"]
    environment = bare_environment(
        HOME=str(home),
        KUAIMEI_HOME=str(home),
        KUAIMEI_STORE__DATABASE_DIR=str(plan.folder / "databases"),
        KUAIMEI_SERVER__START_TIMEOUT_S=str(plan.timeout_s),
        PYTHONPATH=f"{ROOT / 'src'}:{packages}",
    )
    command = as_account(plan.account, [plan.python, "-m", "kuaimei", "serve", "--port", "0"])
    begun = time.monotonic()
    with (plan.folder / f"log-{number}").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, cwd="/", env=environment
        )
    said = plan.folder / f"log-{number}"
    waited = ""
    ready_s = stop_s = None
    try:
        if await asyncio.to_thread(_is_ready, process.pid, said, begun + plan.timeout_s + 10.0):
            ready_s = time.monotonic() - begun
        else:
            waited = _what_it_waits_for(process.pid)
        asked = time.monotonic()
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(_STOP_S):
                await process.wait()
            stop_s = time.monotonic() - asked
    except TimeoutError:
        waited = _what_it_waits_for(process.pid)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    left = await asyncio.to_thread(_end_what_is_left, home)
    found = Start(number, ready_s, stop_s, process.returncode, left)
    if not found.good:
        lines = said.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        found = Start(number, ready_s, stop_s, process.returncode, left, "\n".join([*lines, waited]))
    database = EmbeddedPostgres(home / "postgres", plan.folder / "databases")
    await asyncio.to_thread(database.delete)
    await asyncio.to_thread(shutil.rmtree, home)
    said.unlink()
    return found


def _is_ready(pid: int, log: Path, until: float) -> bool:
    """Wait until it is ready; return False if the process has ended, or at ``until``."""
    while time.monotonic() < until and psutil.pid_exists(pid):
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
        # The log names the address once everything is open; polling before that is useless.
        if found := re.search(r"Open (http://\S+)", log.read_text(encoding="utf-8", errors="replace")):
            try:
                with urlopen(f"{found[1].partition('#')[0].rstrip('/')}/readyz", timeout=5) as answer:
                    return bool(answer.status == 200)
            except (URLError, OSError):
                pass
        time.sleep(_POLL_S)
    return False


def _what_it_waits_for(pid: int) -> str:
    """Return the kernel call in which each thread waits; Python's own stacks are in the log."""
    lines = []
    for task in sorted(Path(f"/proc/{pid}/task").glob("*")):
        try:
            where = (task / "wchan").read_text(encoding="ascii")
            lines.append(f"{task.name} {(task / 'comm').read_text().strip()}: {where}")
        except OSError:
            continue
    return "\n".join(lines)


def _end_what_is_left(home: Path) -> int:
    """Kill what still serves the database of ``home``; return the number of processes."""
    place = str((home / "postgres").resolve())
    left = [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if any(place in part for part in (process.info["cmdline"] or ()))
        or (process.info["cwd"] or "").startswith(place)
    ]
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=30)
    return len(left)


def report(starts: Sequence[Start]) -> str:
    """Return a summary, and the logs of the failed starts."""
    lines = [f"{len(starts)} starts, {sum(not start.good for start in starts)} failed"]
    for name in ("ready_s", "stop_s"):
        values = sorted(value for start in starts if (value := getattr(start, name)) is not None)
        if values:
            high = values[min(len(values) - 1, round(0.95 * (len(values) - 1)))]
            lines.append(
                f"{name}: median {statistics.median(values):.2f}, p95 {high:.2f}, worst {values[-1]:.2f}"
            )
    lines += [f"--- start {start.number + 1}\n{start.log}" for start in starts if not start.good]
    return "\n".join(lines)


def _readable_models(folder: Path, account: Account) -> Path:
    """Return the weights' folder, copied if ``account`` cannot read the original."""
    settings = Settings()
    there = settings.weights_dir
    if may_pass(there / "kokoro") and all(may_read(path) for path in there.rglob("*")):
        return there
    models = folder / "models"
    for source in sources(settings).values():
        if source.path is not None and source.path.is_relative_to(there):
            sys.stderr.write(f"copying {source.name} to where {account.name} can read it\n")
            shutil.copytree(source.path, models / source.path.relative_to(there))
    for path in (models, *models.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return models


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="bench.starts")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--account", default="", help="start them as this account; as root only")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that the account can run")
    parser.add_argument("--timeout-s", type=float, default=300.0, help="a start that takes longer hangs")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    account = account_named(given.account) if given.account else None
    with tempfile.TemporaryDirectory(prefix="kuaimei-starts-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the accounts of server and database need to traverse it
        models = Settings().weights_dir if account is None else _readable_models(folder, account)
        plan = Plan(folder, models, given.python, given.timeout_s, account)
        starts = asyncio.run(measure(plan, given.times, given.at_once))
    if given.json:
        json.dump([asdict(start) for start in starts], sys.stdout, indent=1)
    else:
        sys.stdout.write(report(starts) + "\n")
    return any(not start.good for start in starts)


if __name__ == "__main__":
    sys.exit(main())
