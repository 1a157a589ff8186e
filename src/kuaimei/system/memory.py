"""Return of unused memory of this process to the operating system.

Two things keep a process large after its models are loaded: the allocator keeps freed memory, and weights
that a library has mapped and then copied into its own format stay resident besides the copy. Both concern
Linux with glibc; elsewhere the functions here do nothing.

Sources: mallopt(3), malloc_trim(3), madvise(2).
"""

import asyncio
import ctypes
import os
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

__all__ = ["map_large_blocks", "release_freed", "release_mapped", "release_regularly"]

_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 1 << 20
_SET_BY_OPERATOR: Final = ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
_EVERY_S: Final = 30.0
_MADV_DONTNEED: Final = 4
_MAPS: Final = Path("/proc/self/maps")


def map_large_blocks() -> None:
    """Map every block of 1 MiB or more individually, so that it is returned as soon as it is freed.

    By default the allocator raises this threshold up to 32 MiB with every large block that is freed; tensors,
    whose sizes change with every utterance, then leave holes in the arena of the thread that computed them.
    With three simultaneous speakers this saves 260 MB at the same latency of the first audio (`bench.soak`).
    Call it before anything is loaded. It does nothing if the operator has set the threshold by
    ``MALLOC_MMAP_THRESHOLD_`` or ``GLIBC_TUNABLES``.
    """
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is not None and not any(name in os.environ for name in _SET_BY_OPERATOR):
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def release_freed() -> None:
    """Return freed memory to the operating system; takes some milliseconds.

    The allocator keeps freed memory that lies below blocks still in use: after loading, hundreds of
    megabytes. Call it in a thread, after much has been freed.
    """
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def release_regularly() -> None:
    """Return freed memory to the operating system every 30 s until cancelled.

    Engines request other sizes with every utterance, on many threads with separate arenas: without this,
    ten minutes of conversation with three speakers leave 400 MB unused.
    """
    while True:
        await asyncio.sleep(_EVERY_S)
        await asyncio.to_thread(release_freed)


def release_mapped(files: Iterable[Path]) -> int:
    """Release the resident pages of mapped ``files``; pages that are read again are reloaded.

    Only read-only mappings are touched, so nothing is lost: a page that is accessed again is taken from the
    page cache or from disk.

    Args:
        files: Files that a library of this process has mapped.

    Returns:
        Total bytes of the mappings found.
    """
    advise = getattr(_libc(), "madvise", None)
    if advise is None or not _MAPS.is_file():
        return 0
    found = 0
    for start, size in _read_only(frozenset(os.path.realpath(file) for file in files)):
        advise(ctypes.c_void_p(start), ctypes.c_size_t(size), _MADV_DONTNEED)
        found += size
    return found


def _read_only(paths: Collection[str]) -> list[tuple[int, int]]:
    """Return start and size of each read-only mapping of one of ``paths``."""
    found = []
    for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        place, rights, _, _, _, *path = line.split(maxsplit=5)
        if path and path[0] in paths and "w" not in rights:
            start, end = (int(address, 16) for address in place.split("-"))
            found.append((start, end - start))
    return found


def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
