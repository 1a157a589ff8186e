"""Decoding of audio files in any common format, in a process with bounded memory and time."""

import asyncio
import math
import sys
from pathlib import Path
from typing import BinaryIO
from weakref import WeakKeyDictionary

from kuaimei.audio.pcm import ASR_RATE, Pcm, from_bytes
from kuaimei.errors import AudioError
from kuaimei.system.files import anonymous_file
from kuaimei.system.processes import bare_environment

__all__ = ["decode"]

_WORKER = Path(__file__).with_name("_decode_worker.py")
_AT_ONCE = 2
_MEMORY_MB = 1024  # address space; the libraries alone map some 300 MB

_slots: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]" = WeakKeyDictionary()


async def decode(
    data: bytes | Path | BinaryIO, rate: int = ASR_RATE, *, max_s: float = 600.0, timeout_s: float = 30.0
) -> Pcm:
    """Decode an audio file to mono samples.

    Args:
        data: The file's content, its path, or an open file, which is read from its beginning and stays open.
        rate: Sample rate of the result in Hz.
        max_s: Maximum length in seconds; longer audio is rejected.
        timeout_s: Limit in seconds for both wall-clock and CPU time. Waiting for a free slot does not count:
            two files are decoded concurrently, further ones wait.

    Raises:
        AudioError: If the file is missing, holds no audio or too much of it, or decoding exceeds a limit.
    """
    source = await asyncio.to_thread(_as_file, data)
    try:
        slots = _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
        async with slots:
            return await _run(source, rate, max_s, timeout_s)
    finally:
        if source is not data:
            source.close()


def _as_file(data: bytes | Path | BinaryIO) -> BinaryIO:
    if isinstance(data, Path):
        try:
            return data.open("rb")
        except OSError as exc:
            raise AudioError(f"cannot read {data}: {exc.strerror or exc}") from exc
    if isinstance(data, bytes):
        file = anonymous_file()
        file.write(data)
    else:
        file = data
        file.fileno()  # moves a spooled temporary file from memory to disk
    file.seek(0)
    return file


async def _run(source: BinaryIO, rate: int, max_s: float, timeout_s: float) -> Pcm:
    limits = (rate, math.ceil(max_s), math.ceil(timeout_s), _MEMORY_MB)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(_WORKER),
        *(str(limit) for limit in limits),
        stdin=source,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=bare_environment(),
    )
    try:
        async with asyncio.timeout(timeout_s):
            samples, complaint = await process.communicate()
    except TimeoutError:
        raise AudioError(f"the audio could not be decoded within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 2:
        raise AudioError(complaint.decode(errors="replace") or "the file cannot be decoded")
    if process.returncode != 0:
        raise AudioError("the audio could not be decoded within the limits of memory and time")
    return from_bytes(samples)
