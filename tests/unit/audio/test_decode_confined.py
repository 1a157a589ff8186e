"""What the process that decodes strangers' files can reach: nothing."""

import asyncio
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from kuaimei.audio import decode as decoding
from kuaimei.audio.decode import decode
from kuaimei.audio.encode import encode

WORKER = Path(decoding.__file__).with_name("_decode_worker.py")
WAV = encode(np.zeros(8000, np.int16), 16000, "wav")


async def test_its_environment_holds_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUAIMEI_SERVER__API_KEY", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "HOME"):
        monkeypatch.setenv(name, "sentinel")
    fifo = tmp_path / "endless.wav"
    os.mkfifo(fifo)
    writing = os.open(fifo, os.O_RDWR)  # so that neither side waits for the other
    try:
        task = asyncio.ensure_future(decode(fifo))
        environment = await asyncio.to_thread(_environment_of_worker)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        os.close(writing)
    assert set(environment) <= {"PATH", "LC_ALL", "LD_LIBRARY_PATH"}
    assert "sentinel" not in environment.values()


def _environment_of_worker() -> dict[str, str]:
    while True:
        for child in psutil.Process().children():
            if str(WORKER) in child.cmdline():
                found: dict[str, str] = child.environ()
                return found


def confined(attempt: str) -> str:
    """What ``attempt`` prints in a process that has confined itself as the worker does."""
    script = (
        "import importlib.util, os, socket, subprocess, sys, threading\n"
        f"spec = importlib.util.spec_from_file_location('worker', {str(WORKER)!r})\n"
        "worker = importlib.util.module_from_spec(spec); spec.loader.exec_module(worker)\n"
        "worker._confine()\n"
        "try:\n"
        f"    print({attempt})\n"
        "except OSError as error:\n"
        "    print('refused', error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def needs(what: str) -> None:
    """Skip, with the reason, where this system has no such means."""
    script = {
        "landlock": "sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 1)",
        "network namespaces": "sys.exit(ctypes.CDLL(None).unshare(0x50000000) != 0)",
    }[what]
    if subprocess.run([sys.executable, "-c", f"import ctypes, sys; {script}"], check=False).returncode:
        pytest.skip(f"{what} are not to be had here")


def test_it_can_open_no_file(tmp_path: Path) -> None:
    needs("landlock")
    there = tmp_path / "there"
    there.write_text("private")
    assert "private" not in confined(f"open({str(there)!r}).read()")
    assert "refused 13" in confined(f"open({str(there)!r}).read()")
    assert "refused 13" in confined(f"open({str(tmp_path / 'new')!r}, 'w')")
    assert "refused 13" in confined(f"os.listdir({str(tmp_path)!r})")
    assert "refused 13" in confined(f"os.unlink({str(there)!r})")
    assert there.read_text() == "private"


async def test_it_has_no_network() -> None:
    needs("network namespaces")
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        told = await asyncio.to_thread(confined, f"socket.create_connection(('127.0.0.1', {port}), 5)")
    assert told.startswith("refused")


def test_it_starts_no_further_process() -> None:
    assert confined("os.posix_spawn('/bin/true', ['/bin/true'], {}) and 'started'").startswith("refused")


def test_it_gains_no_privileges() -> None:
    assert confined("[l for l in os.popen('true')] or 'x'").startswith("refused")
    assert confined("worker and __import__('ctypes').CDLL(None).prctl(39, 0, 0, 0, 0)") == "1"


def test_it_holds_few_descriptors() -> None:
    assert confined("[os.dup(0) for _ in range(100)]") == "refused 24"


@pytest.mark.parametrize("make", [io.BytesIO, None], ids=["in memory", "on disk"])
async def test_an_open_file_is_read_from_its_beginning_and_stays_open(make: type[io.BytesIO] | None) -> None:
    with tempfile.SpooledTemporaryFile(max_size=10**6 if make else 1) as file:
        file.write(WAV)
        assert len(await decode(file)) == 8000  # type: ignore[arg-type]
        assert not file.closed
        assert len(await decode(file)) == 8000  # type: ignore[arg-type]
