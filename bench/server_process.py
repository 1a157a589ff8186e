"""Server process as run by ``kuaimei serve``, with a temporary data folder and the installed weights."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from bench.temp_home import private_home

__all__ = ["server_process"]

_DEFAULTS = {"KUAIMEI_SERVER__OPEN": "true", "KUAIMEI_VOICES__ENVIRONMENT": "off"}
"""No key needed, and no training environment installed meanwhile, which would be measured as well."""
_START_S = 180.0
_END_S = 60.0


@contextmanager
def server_process(**environment: str) -> Iterator[str]:
    """Start a server and yield its address once it is ready; stop it at the end of the block.

    Args:
        environment: Settings, as ``KUAIMEI_LLM="qwen2.5-coder-0.5b"``; those of the caller's shell are
            left out, so that the measurement is reproducible.

    Raises:
        RuntimeError: If it did not start; its log is in the message.
    """
    with private_home() as home:
        yield from _served(home, environment)


def _served(home: Path, environment: Mapping[str, str]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KUAIMEI_")}
    log = home / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kuaimei", "serve", "--port", str(port)],
            env={**kept, **_DEFAULTS, **environment, "KUAIMEI_HOME": str(home)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _await_ready(address, process, log)
        yield address
    except BaseException:
        sys.stderr.write("the server said last:\n" + "\n".join(_lines(log)[-20:]) + "\n")
        raise
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()


def _await_ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError("the server ended:\n" + "\n".join(_lines(log)))
        try:
            with urlopen(f"{address}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            pass
        time.sleep(0.3)
    raise RuntimeError(f"the server was not ready in {_START_S:g} s")
