"""Audio on disk as it arrives, before anything else is known of it.

One folder per process (a *run*) under ``spool``, held by a kernel lock that a SIGKILL releases; in it,
per utterance, ``ID.pcm`` (s16le, written in place) and ``ID.json`` (its `UtteranceRecord`). One thread writes
for all conversations, so that a disk that stalls never stalls the event loop.

What is promised: audio is handed to the kernel within some 10 ms of its arrival. From then on a killed
process loses nothing. A crash of the operating system may lose what it had not yet written back (some
seconds): nothing is fsynced here, because that would cost a live turn more than it is worth.
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
"""Writes are gathered for this long: a hundred conversations wake the thread as seldom as one."""
_PENDING_MAX = 64_000_000
"""Bytes that may wait for a disk that stalls; what comes beyond is lost, counted and told."""
_LOCK = "lock"


class SpoolWriter:
    """The thread that writes.

    Attributes:
        lost_bytes: Audio that could not be written: the disk was full or stalled too long.
        failures: Operations that failed.
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
        """Audio that waits to be written."""
        return self._pending

    def post(self, operation: Callable[[], None], size: int = 0) -> None:
        """Do ``operation`` soon, in order; ``size`` bytes of audio hang on it. Returns at once."""
        with self._counting:
            full = size > 0 and self._pending + size > _PENDING_MAX
            if full:
                self.lost_bytes += size
            else:
                self._pending += size
        if full:
            self._trouble("the disk does not keep up")
            return
        self._work.append((size, operation))
        self._wake.set()

    def lose(self, size: int) -> None:
        """Count ``size`` bytes of audio that nobody is to write."""
        with self._counting:
            self.lost_bytes += size

    async def barrier(self) -> None:
        """Return when everything posted so far is done."""
        loop = asyncio.get_running_loop()
        reached: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not reached.done():
                reached.set_result(None)

        self.post(partial(_call_in, loop, tell))
        self._hurry.set()
        await reached

    def close(self) -> None:
        """Do what is left and end the thread; blocks until it has ended."""
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
                    _log.error("an operation of the spool failed:\n%s", trace_of(error))
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
        """Say it once, not fifty times a second; the conversation goes on."""
        if not self._troubled:
            self._troubled = True
            _log.error("what is being said cannot be written to disk and is lost for now: %s", why)

    def _log_recovered(self, size: int) -> None:
        if size and self._troubled:
            self._troubled = False
            _log.warning("the spool can be written again; %d bytes of audio are lost", self.lost_bytes)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended, and nobody waits
        loop.call_soon_threadsafe(callback)


class Spool:
    """The files of one utterance. All methods block; post them to the `SpoolWriter`."""

    def __init__(self, folder: Path, utterance: str) -> None:
        self.pcm = folder / f"{utterance}.pcm"
        self.flac = folder / f"{utterance}.flac"
        self._manifest = folder / f"{utterance}.json"
        self._file: int | None = None

    def write(self, offset: int, data: bytes) -> None:
        """Put ``data`` at byte ``offset``; what comes twice lies once, what never comes is silence."""
        if self._file is None:
            self._file = os.open(self.pcm, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        view = memoryview(data)
        while view:
            done = os.pwrite(self._file, view, offset)
            view, offset = view[done:], offset + done

    def save(self, manifest: bytes) -> None:
        """Replace the record beside the audio, whole or not at all."""
        unfinished = self._manifest.with_suffix(".new")
        try:
            unfinished.write_bytes(manifest)
            unfinished.replace(self._manifest)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """No more audio comes."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """All of it, for good."""
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
    """The spools of one process: ours until we end in whatever way, or a dead one's, held while it is saved.

    Attributes:
        id: Name of the run, as in the rows it wrote.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.id = folder.name
        self.folder = folder
        self._lock = lock

    @classmethod
    def begin(cls, root: Path) -> "SpoolRun":
        """A run of our own."""
        root.mkdir(parents=True, exist_ok=True)
        folder = root / new_id("run")
        # Locked under a name that nobody looks at, so that it is never seen unlocked.
        unfinished = root / f".{folder.name}"
        unfinished.mkdir(mode=0o700)
        lock = os.open(unfinished / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        unfinished.rename(folder)
        return cls(folder, lock)

    @classmethod
    def claim_abandoned(cls, root: Path) -> list["SpoolRun"]:
        """Runs whose process is gone, now held by us; whoever looks at the same time gets others."""
        found: list[SpoolRun] = []
        for folder in sorted(root.glob("run_*")):
            try:
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except (FileNotFoundError, NotADirectoryError):
                continue  # saved by another process just now
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)  # alive
            else:
                found.append(cls(folder, lock))
        return found

    @classmethod
    def alone(cls, root: Path, own: str) -> bool:
        """Whether no process writes to ``root`` but the one of the run ``own``."""
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
        """Files for one utterance; nothing is made before something is written."""
        return Spool(self.folder, utterance)

    def records(self) -> Iterator[UtteranceRecord]:
        """What this run knows of its utterances."""
        for path in sorted(self.folder.glob("*.json")):
            # Why one cannot be read is not told: there is in it what was said. See `orphans`.
            with suppress(FileNotFoundError, ValidationError):
                yield UtteranceRecord.model_validate_json(path.read_bytes())

    def orphans(self) -> list[str]:
        """Utterances without a readable record: the disk was full, or lost power, when it was written."""
        known = {record.id for record in self.records()}
        found = {path.stem for pattern in ("*.pcm", "*.json") for path in self.folder.glob(pattern)}
        return sorted(found - known)

    def close(self) -> None:
        """Let go; the folder goes too if nothing is left in it to save."""
        with suppress(OSError):
            for pattern in ("*.job", "*.new"):
                for left_over in self.folder.glob(pattern):
                    left_over.unlink()
            if {path.name for path in self.folder.iterdir()} <= {_LOCK}:
                shutil.rmtree(self.folder)
        os.close(self._lock)
