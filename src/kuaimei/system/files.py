"""Files that hold speech for a moment: without a name, so that nothing is left of them whatever happens.

A file with a name in the temporary folder outlives a process that is killed, and no deletion knows of it. One
without a name is gone with the last descriptor that refers to it.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["anonymous_file", "anonymous_path"]


def anonymous_file() -> BinaryIO:
    """A file without a name, open for reading and writing, that the caller closes."""
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    return file


@contextmanager
def anonymous_path(data: bytes) -> Iterator[Path]:
    """A path by which ``data`` can be read during the block, for libraries that take nothing but paths.

    Children of this process can read it as well. The path has no suffix.
    """
    with anonymous_file() as file:
        file.write(data)
        file.flush()
        path = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        # Elsewhere than on Linux there is this, which is valid in this process only.
        yield path if path.exists() else Path(f"/dev/fd/{file.fileno()}")
