"""Durable file operations, whose effect survives a power cut.

The kernel writes changes back at a time of its choice. Each function here returns only after fsync has
succeeded: on the file for its content, on the folder that holds it for its name. All of them block; call
them in a thread.
"""

import fcntl
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

__all__ = [
    "is_abandoned",
    "make_folder",
    "remove_file",
    "remove_folder_if_empty",
    "remove_tree",
    "rename",
    "sync_file",
    "sync_folder",
    "write_file",
]

_BLOCK: Final = 1 << 20


def sync_file(path: Path) -> None:
    """Sync the content of the file ``path`` to disk.

    Raises:
        OSError: If it cannot be opened or written.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_folder(path: Path) -> None:
    """Sync the entries of the folder ``path`` to disk: names created, renamed or deleted in it.

    Raises:
        OSError: If it cannot be opened or written.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_folder(path: Path) -> None:
    """Create the folder ``path`` and its missing parents durably.

    Raises:
        OSError: If one of them cannot be created.
    """
    missing = []
    folder = path
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def write_file(path: Path, content: bytes | Path, unfinished: Path | None = None) -> None:
    """Write the file ``path`` atomically and durably; an existing one is replaced.

    Args:
        path: Its folder is created if necessary.
        content: The bytes, or a file to copy.
        unfinished: Temporary path on the same file system; None: one in the same folder. It is locked during
            the write, so that `is_abandoned` can recognize files of killed processes.

    Raises:
        OSError: If it cannot be written (disk full, for example); no partial file is left then.
    """
    make_folder(path.parent)
    part = unfinished or path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _fill(file, content)
            file.flush()
            os.fsync(file.fileno())
            part.rename(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _fill(file: BinaryIO, content: bytes | Path) -> None:
    if isinstance(content, bytes):
        file.write(content)
        return
    with content.open("rb") as source:
        shutil.copyfileobj(source, file, _BLOCK)
        size = os.fstat(source.fileno()).st_size
    if file.tell() != size:
        raise OSError(f"{content.name} has {size} bytes, but {file.tell()} were copied")


def rename(source: Path, target: Path) -> None:
    """Move a file or folder within its file system, durably.

    Raises:
        OSError: If it cannot be moved.
    """
    source.rename(target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def remove_file(path: Path) -> bool:
    """Delete a file durably; return False if there is none.

    Raises:
        OSError: If it exists and cannot be deleted.
    """
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    _sync_nearest(path.parent)
    return True


def remove_tree(path: Path) -> bool:
    """Delete a folder with all its content durably; return False if there is none.

    Unlike `shutil.rmtree` with errors ignored, it never reports success while something is left. Entries
    deleted concurrently by others are no error.

    Args:
        path: A folder; a symbolic link is rejected.

    Raises:
        OSError: If a part of it cannot be deleted.
    """
    if path.is_symlink():
        raise NotADirectoryError(f"{path} is a link, not a folder created by kuaimei: delete it manually")
    if not path.is_dir():
        return False
    _empty(path)
    with suppress(FileNotFoundError):
        path.rmdir()
    _sync_nearest(path.parent)
    return True


def _sync_nearest(folder: Path) -> None:
    """Sync ``folder``, or its nearest existing parent if it has been deleted concurrently."""
    while True:
        try:
            sync_folder(folder)
        except FileNotFoundError:
            folder = folder.parent
        else:
            return


def remove_folder_if_empty(path: Path) -> bool:
    """Delete the folder ``path`` durably; return False if it is not empty or does not exist."""
    try:
        path.rmdir()
    except OSError:
        return False
    _sync_nearest(path.parent)
    return True


def _empty(path: Path) -> None:
    with suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    _empty(Path(entry.path))
                    os.rmdir(entry.path)
                else:
                    os.unlink(entry.path)


def is_abandoned(path: Path) -> bool:
    """Return whether the process that was writing the file ``path`` has ended (see `write_file`)."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True
