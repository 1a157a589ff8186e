"""Files and folders that are still there, or still gone, after a power cut.

The kernel writes back what was written, renamed or deleted when it likes. Each function here returns only
when the file system says that it lies on the disk: of a file its content, of a name the folder that holds it.
All of them block; call them in a thread.
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
    """Bring the content of the file ``path`` to the disk.

    Raises:
        OSError: If it cannot be opened or written.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_folder(path: Path) -> None:
    """Bring the names in the folder ``path`` to the disk: what was renamed, made or deleted in it.

    Raises:
        OSError: If it cannot be opened or written.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_folder(path: Path) -> None:
    """Make the folder ``path`` and those above it, durably; those that are there are left alone.

    Raises:
        OSError: If one cannot be made.
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
    """Write ``content`` as the file ``path``, whole or not at all, in the place of what was there.

    Args:
        path: Its folder is made if need be.
        content: The bytes, or a file that is copied.
        unfinished: Under which name it is written first, on the same file system; None: one beside it. A
            lock is held on it meanwhile, so that a killed process's file is told from one being written.

    Raises:
        OSError: If it cannot be written (the disk is full); nothing of it is left then.
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
        raise OSError(f"{content.name} has {size} bytes and {file.tell()} of them were copied")


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
    """Delete a file durably; False if there was none.

    Raises:
        OSError: If it is there and cannot be deleted.
    """
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    _sync_nearest(path.parent)
    return True


def remove_tree(path: Path) -> bool:
    """Delete a folder with all that is in it, durably; False if there was none.

    Unlike `shutil.rmtree` with its errors ignored it never says that something is gone which is not; what
    somebody else deletes meanwhile is fine.

    Args:
        path: A folder; a link is refused.

    Raises:
        OSError: If a part of it cannot be deleted.
    """
    if path.is_symlink():
        raise NotADirectoryError(f"{path} is a link and not a folder of ours: delete it by hand")
    if not path.is_dir():
        return False
    _empty(path)
    with suppress(FileNotFoundError):
        path.rmdir()
    _sync_nearest(path.parent)
    return True


def _sync_nearest(folder: Path) -> None:
    """Sync ``folder``, or the first above it that is still there: somebody may have deleted it as well."""
    while True:
        try:
            sync_folder(folder)
        except FileNotFoundError:
            folder = folder.parent
        else:
            return


def remove_folder_if_empty(path: Path) -> bool:
    """Delete the folder ``path`` durably, unless something is in it or it is gone: then False."""
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
    """Whether nobody writes the file ``path`` any more: the process that did has ended (see `write_file`)."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True
