"""Files that hold speech for a moment: without a name, so that nothing is left of them whatever happens.

A file with a name in the temporary folder outlives a process that is killed, and no deletion knows of it. One
without a name is gone with the last descriptor that refers to it. Nothing else in this package may ask for
temporary files or folders but `kuaimei.system.folders`.
"""

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

__all__ = ["anonymous_file", "path_of"]


def anonymous_file() -> BinaryIO:
    """A file without a name, open for reading and writing, that the caller closes."""
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    return file


def path_of(file: BinaryIO | int) -> Path:
    """A path by which ``file`` can be read from its beginning while it is open.

    Children of this process can read it as well. The path has no suffix that would tell the format.

    Args:
        file: May have no name; or the descriptor of one.
    """
    descriptor = file if isinstance(file, int) else file.fileno()
    path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    # Elsewhere than on Linux there is the other, which is valid in this process only.
    return path if path.exists() else Path(f"/dev/fd/{descriptor}")
