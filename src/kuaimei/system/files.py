"""Anonymous temporary files for speech, which leave nothing behind in any case.

A named file in the temporary folder outlives a killed process, and no deletion covers it. A file without a
name disappears with its last descriptor. Only this module and `kuaimei.system.folders` may create temporary
files or folders.
"""

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

__all__ = ["anonymous_file", "path_of"]


def anonymous_file() -> BinaryIO:
    """Open a file without a name for reading and writing; the caller has to close it."""
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    return file


def path_of(file: BinaryIO | int) -> Path:
    """Return a path by which ``file`` can be read from its beginning while it is open.

    Child processes can use it as well. The path has no suffix that would indicate the format.

    Args:
        file: An open file, named or not, or its descriptor.
    """
    descriptor = file if isinstance(file, int) else file.fileno()
    path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    # Without procfs only /dev/fd is left, which is valid in this process only.
    return path if path.exists() else Path(f"/dev/fd/{descriptor}")
