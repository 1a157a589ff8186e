"""Memory of this process that is of no use any more, handed back to the operating system.

Two things keep a process large after its models are loaded: the allocator holds on to what was freed, and
weights that a library has mapped and copied into a form of its own stay resident behind the copy. Both are
matters of Linux with glibc; elsewhere the functions here do nothing.

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
    """Have every block of 1 MiB and more mapped by itself, so that it goes back the moment it is freed.

    Left alone, the allocator raises that limit up to 32 MiB with every large block that is freed; tensors,
    whose sizes change with every utterance, then leave holes in the arena of whichever thread computed them.
    With three people talking, 260 MB less are held for the same first audio (`bench.soak`). To be called
    before anything is loaded; does nothing where the operator has set the limit, by
    ``MALLOC_MMAP_THRESHOLD_`` or ``GLIBC_TUNABLES``.
    """
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is not None and not any(name in os.environ for name in _SET_BY_OPERATOR):
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def release_freed() -> None:
    """Hand memory that was freed back to the operating system; takes some milliseconds.

    The allocator keeps freed memory for the next request where something above it is still in use: after
    loading, hundreds of megabytes. Call it where much was just freed, in a thread.
    """
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def release_regularly() -> None:
    """Hand back what was freed, every half a minute, until cancelled.

    Engines ask for other sizes with every utterance, on many threads, each of which has an arena of its own:
    without this, three people who talk for ten minutes leave 400 MB that nobody uses.
    """
    while True:
        await asyncio.sleep(_EVERY_S)
        await asyncio.to_thread(release_freed)


def release_mapped(files: Iterable[Path]) -> int:
    """Let go of the resident pages of mapped ``files``; what is read again comes back by itself.

    Only mappings that cannot be written are touched, so nothing is lost: a page that is asked for again is
    taken from the operating system's cache of the file, or from the disk.

    Args:
        files: That a library of this process has mapped.

    Returns:
        Bytes of the mappings that were found.
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
    """Start and size of each mapping of one of ``paths`` that cannot be written."""
    found = []
    for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        place, rights, _, _, _, *path = line.split(maxsplit=5)
        if path and path[0] in paths and "w" not in rights:
            start, end = (int(address, 16) for address in place.split("-"))
            found.append((start, end - start))
    return found


def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
