"""Spool: audio is written to disk as it arrives, before it is stored.

One folder per process (a *run*) under ``spool``, held by a kernel lock that a SIGKILL releases; in it,
per utterance, ``ID.pcm`` (s16le, written in place) and ``ID.json`` (its `UtteranceRecord`). One thread writes
for all conversations, so that a disk that stalls never stalls the event loop.

Guarantee: audio is handed to the kernel within some 10 ms of its arrival. From then on a killed process
loses nothing. A crash of the operating system may lose what it had not yet written back (some seconds):
nothing is fsynced here, because that would cost a live turn more than it is worth.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from kuaimei.store.ids import new_id
from kuaimei.store.utterance_record import UtteranceRecord
from kuaimei.system.failures import trace_of

__all__ = ["Spool", "SpoolRun", "SpoolWriter"]

_log = logging.getLogger(__name__)

_BATCH_DELAY_S = 0.01
"""Time for which writes are batched: a hundred conversations wake the thread as seldom as one."""
_PENDING_MAX = 64_000_000
"""Bytes that may wait for a disk that stalls; more is lost, counted and logged."""
_LOCK = "lock"


class SpoolWriter:
    """Thread that performs all writes.

    Attributes:
        lost_bytes: Bytes of audio that could not be written: the disk was full or stalled too long.
        failures: Number of failed operations.
    """

    def __init__(self) -> None:
        self.lost_bytes = 0
        self.failures = 0
        self._work: deque[tuple[int, Callable[[], None]]] = deque()
        self._pending = 0
        self._counting = threading.Lock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._ended = False
        self._troubled = False
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    @property
    def pending_bytes(self) -> int:
        """Bytes of audio that wait to be written."""
        return self._pending

    def post(self, operation: Callable[[], None], size: int = 0) -> None:
        """Queue ``operation``, which writes ``size`` bytes of audio; done in order. Returns at once."""
        with self._counting:
            full = size > 0 and self._pending + size > _PENDING_MAX
            if full:
                self.lost_bytes += size
            else:
                self._pending += size
        if full:
            self._trouble("the disk cannot keep up")
            return
        self._work.append((size, operation))
        self._wake.set()

    def lose(self, size: int) -> None:
        """Count ``size`` bytes of audio as lost."""
        with self._counting:
            self.lost_bytes += size

    async def barrier(self) -> None:
        """Wait until everything posted so far is done."""
        loop = asyncio.get_running_loop()
        reached: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not reached.done():
                reached.set_result(None)

        self.post(partial(_call_in, loop, tell))
        self._hurry.set()
        await reached

    def close(self) -> None:
        """Perform pending operations and end the thread; blocks until it has ended."""
        self._ended = True
        self._hurry.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not (self._ended and not self._work):
            self._wake.wait()
            self._hurry.wait(_BATCH_DELAY_S)
            self._hurry.clear()
            self._wake.clear()
            while self._work:
                size, operation = self._work.popleft()
                try:
                    operation()
                except OSError as error:
                    self._failed(size)
                    self._trouble(error.strerror or type(error).__name__)
                except Exception as error:
                    self._failed(size)
                    _log.error("a spool operation failed:\n%s", trace_of(error))
                else:
                    self._log_recovered(size)
                with self._counting:
                    self._pending -= size
            if self._ended:
                self._wake.set()

    def _failed(self, size: int) -> None:
        with self._counting:
            self.failures += 1
            self.lost_bytes += size

    def _trouble(self, why: str) -> None:
        """Log trouble once, not fifty times a second; the conversation goes on."""
        if not self._troubled:
            self._troubled = True
            _log.error("audio cannot be written to disk and is being lost: %s", why)

    def _log_recovered(self, size: int) -> None:
        if size and self._troubled:
            self._troubled = False
            _log.warning("audio can be written to disk again; %d bytes were lost", self.lost_bytes)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(callback)


class Spool:
    """The files of one utterance. All methods block; post them to the `SpoolWriter`."""

    def __init__(self, folder: Path, utterance: str) -> None:
        self.pcm = folder / f"{utterance}.pcm"
        self.flac = folder / f"{utterance}.flac"
        self._manifest = folder / f"{utterance}.json"
        self._file: int | None = None

    def write(self, offset: int, data: bytes) -> None:
        """Write ``data`` at byte ``offset``; repeated data overwrites itself, missing data is silence."""
        if self._file is None:
            self._file = os.open(self.pcm, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        view = memoryview(data)
        while view:
            done = os.pwrite(self._file, view, offset)
            view, offset = view[done:], offset + done

    def save(self, manifest: bytes) -> None:
        """Atomically replace the record beside the audio."""
        unfinished = self._manifest.with_suffix(".new")
        try:
            unfinished.write_bytes(manifest)
            unfinished.replace(self._manifest)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Close the audio file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """Delete all files of the utterance."""
        self.close()
        for path in (self.pcm, self.flac, self._manifest):
            path.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes of audio on disk."""
        try:
            return self.pcm.stat().st_size
        except FileNotFoundError:
            return 0


class SpoolRun:
    """Spools of one process: this one, or a dead one, held by a lock while it is recovered.

    Attributes:
        id: Name of the run, as in the rows it wrote.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.id = folder.name
        self.folder = folder
        self._lock = lock

    @classmethod
    def begin(cls, root: Path) -> "SpoolRun":
        """Create the run of this process."""
        root.mkdir(parents=True, exist_ok=True)
        folder = root / new_id("run")
        # Locked under a hidden name, so that no process sees it unlocked.
        unfinished = root / f".{folder.name}"
        unfinished.mkdir(mode=0o700)
        lock = os.open(unfinished / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        unfinished.rename(folder)
        return cls(folder, lock)

    @classmethod
    def claim_abandoned(cls, root: Path) -> list["SpoolRun"]:
        """Lock and return the runs of dead processes; concurrent callers get different runs."""
        found: list[SpoolRun] = []
        for folder in sorted(root.glob("run_*")):
            try:
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except (FileNotFoundError, NotADirectoryError):
                continue  # another process has just recovered it
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)  # alive
            else:
                found.append(cls(folder, lock))
        return found

    @classmethod
    def alone(cls, root: Path, own: str) -> bool:
        """Return True if no process writes to ``root`` except that of the run ``own``."""
        for folder in root.glob("run_*"):
            if folder.name != own:
                try:
                    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
                except OSError:
                    continue  # it has ended
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                finally:
                    os.close(lock)
        return True

    def spool(self, utterance: str) -> Spool:
        """Return the files of one utterance; they are created when first written."""
        return Spool(self.folder, utterance)

    def records(self) -> Iterator[UtteranceRecord]:
        """Yield the readable records of the run."""
        for path in sorted(self.folder.glob("*.json")):
            # Errors are not logged: they quote the record. See `orphans`.
            with suppress(FileNotFoundError, ValidationError):
                yield UtteranceRecord.model_validate_json(path.read_bytes())

    def orphans(self) -> list[str]:
        """Return utterances without a readable record: the disk was full or lost power while writing it."""
        known = {record.id for record in self.records()}
        found = {path.stem for pattern in ("*.pcm", "*.json") for path in self.folder.glob(pattern)}
        return sorted(found - known)

    def close(self) -> None:
        """Release the lock; the folder is deleted if nothing is left in it to recover."""
        with suppress(OSError):
            for pattern in ("*.job", "*.new"):
                for left_over in self.folder.glob(pattern):
                    left_over.unlink()
            if {path.name for path in self.folder.iterdir()} <= {_LOCK}:
                shutil.rmtree(self.folder)
        os.close(self._lock)
