"""One server for a cluster, whoever can see whom; and it tells its log nothing of what was said."""

import fcntl
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from kuaimei.errors import StoreError
from kuaimei.settings import Settings
from kuaimei.store.postgres import binaries
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.postgres.postmaster import find_postmaster
from kuaimei.store.postgres.sockets import socket_folder
from tests.integration.store.conftest import copy, embedded
from tests.integration.store.postgres.test_embedded_server import ROOT, value

STARTING = (
    "import sys; from pathlib import Path\n"
    "from kuaimei.store.postgres.embedded_server import EmbeddedPostgres\n"
    "from kuaimei.errors import StoreError\n"
    "server = EmbeddedPostgres(*map(Path, sys.argv[1:]))\n"
    "try:\n    server.start(); print('started')\n"
    "except StoreError as error:\n    print('refused:', error)\n"
)


def in_another_container(server: EmbeddedPostgres) -> str:
    """What comes of a start where no process of this container can be seen, on the same files."""
    apart = ["unshare", "--pid", "--ipc", "--mount", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], check=False).returncode:
        pytest.skip("namespaces of processes are not to be had here")
    done = subprocess.run(
        [*apart, sys.executable, "-c", STARTING, str(server.folder), str(Settings().store.database_dir)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_second_container_starts_no_second_server(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("create table words as select '美' as word")
    before = (server.data / "postmaster.pid").read_text()
    assert "refused: another PostgreSQL is running the database" in in_another_container(server)
    assert (server.data / "postmaster.pid").read_text() == before
    assert value(server, "select word from words") == "美"
    server.stop()
    assert "started" in in_another_container(server)  # and its server ends with that container
    server.start()
    assert value(server, "select word from words") == "美"


def test_the_server_holds_its_lock_to_its_end(server: EmbeddedPostgres) -> None:
    server.start()
    (server.data / "postmaster.pid").rename(server.folder / "hidden")  # so that nobody sees it
    second = EmbeddedPostgres(server.folder, Settings().store.database_dir)
    with pytest.raises(StoreError, match="another PostgreSQL is running"):
        second.start()
    (server.folder / "hidden").rename(server.data / "postmaster.pid")
    second.start()  # joins it
    second.stop()
    assert value(server, "select 1") == 1


def test_what_a_killed_server_leaves_is_waited_for(server: EmbeddedPostgres) -> None:
    server.start()
    pid = find_postmaster(server.data)
    assert pid is not None
    family = psutil.Process(pid).children()
    psutil.Process(pid).kill()
    server.ensure_running()  # at once: its children may still be there
    assert value(server, "select 1") == 1
    psutil.wait_procs(family, timeout=30)
    assert not any(child.is_running() for child in family)


def test_a_server_whose_connections_are_all_taken_is_left_alone(server: EmbeddedPostgres) -> None:
    server.start()
    pid = find_postmaster(server.data)
    second = EmbeddedPostgres(server.folder, Settings().store.database_dir)
    with ExitStack() as stack:
        limit = int(str(value(server, "show max_connections")))
        connections = [stack.enter_context(psycopg.connect(server.conninfo)) for _ in range(limit)]
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            psycopg.connect(server.conninfo)
        server.ensure_running()
        second.start()
        assert find_postmaster(server.data) == pid
        assert all(connection.execute("select 1").fetchone() == (1,) for connection in connections)
    second.stop()


def test_its_log_holds_nothing_of_what_was_said(server: EmbeddedPostgres) -> None:
    sentinel = "秘密的話"
    server.start()
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute("create table said (words text check (length(words) < 4), number int unique)")
        connection.execute("insert into said values ('短', 1)")
        for statement, parameters in (
            ("insert into said values (%s, 2)", (sentinel,)),
            (f"insert into said values ('{sentinel}', 3)", None),
            ("select %s::text::int", (sentinel,)),
            (f"select '{sentinel}'::int", None),
            (f'select "{sentinel}"', None),
            ("insert into said values ('短', 1)", None),
            (f"do $$ begin raise exception '{sentinel}'; end $$", None),
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement, parameters)
    server.stop()
    log = server.log.read_text()
    assert "ready to accept connections" in log
    assert sentinel not in log


def test_what_an_earlier_version_logged_is_deleted(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    for name in ("log", "log.1"):
        (server.folder / name).write_text(
            "2026-01-01 00:00:00.000 UTC [7] LOG:  ready\n"
            "2026-01-01 00:00:00.000 UTC [7] DETAIL:  Failing row contains (秘密的話).\n"
        )
    server.start()
    assert "秘密的話" not in server.log.read_text()
    assert not server.log.with_suffix(".1").exists()


def test_a_path_too_long_for_a_socket_has_a_private_folder(
    made: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Settings().store.database_dir / ("長" * 30)
    server = EmbeddedPostgres(folder / ("長" * 30) / "postgres", long)
    copy(made, server)
    server.start()
    sockets = socket_folder(server.folder.resolve())
    try:
        assert value(server, "select 1") == 1
        assert sockets.stat().st_mode & 0o077 == 0
        assert not sockets.is_relative_to(folder)
        second = EmbeddedPostgres(server.folder, long)
        second.start()
        assert socket_folder(second.folder.resolve()) == sockets
        second.stop()
    finally:
        server.stop()
    assert not sockets.exists()
    sockets.mkdir()  # somebody else was quicker
    sockets.chmod(0o777)
    server.start()
    try:
        assert socket_folder(server.folder.resolve()) != sockets
        assert value(server, "select 1") == 1
    finally:
        server.stop()
        server.delete()
        sockets.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs an account for the server")
def test_no_folder_is_opened_for_the_account_of_the_server(
    made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its programs are copied where the account cannot reach them, and its files lie elsewhere."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    package = binaries._package()
    for found in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(found, private / found.name, symlinks=True)
    monkeypatch.setattr(binaries, "_package", lambda: private / package.name)
    base = Settings().store.database_dir / "own"
    server = EmbeddedPostgres(private / "postgres", base)
    copy(made, server)
    server.start()
    try:
        pid = find_postmaster(server.data)
        assert pid is not None
        assert Path(psutil.Process(pid).exe()).is_relative_to(base)
        assert value(server, "select 1") == 1
        assert private.stat().st_mode & 0o777 == 0o700
        programs = psutil.Process(pid).exe()
        assert os.stat(programs).st_uid == 0
    finally:
        server.stop()
    times = {path: path.stat().st_mtime_ns for path in base.glob("postgresql-*/**/postgres")}
    server.start()  # from the same copy
    server.stop()
    server.delete()
    assert times
    assert times == {path: path.stat().st_mtime_ns for path in base.glob("postgresql-*/**/postgres")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root moves a database")
def test_a_server_left_running_by_an_earlier_version_is_stopped_and_moved(made: Path, folder: Path) -> None:
    folder.chmod(0o711)  # as earlier versions did
    server = embedded(folder)
    copy(made, server)
    shutil.chown(server.folder, "kuaimei")
    server.folder.chmod(0o700)
    program = binaries.programs() / "pg_ctl"
    start = [str(program), "start", "-w", "-D", str(server.data), "-l", f"{server.folder}/log"]
    options = f"-c listen_addresses='' -c unix_socket_directories='{server.folder}'"
    subprocess.run(
        ["setpriv", "--reuid=kuaimei", "--regid=kuaimei", "--clear-groups", *start, "-o", options],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    old = find_postmaster(server.data)
    assert old is not None
    server.start()
    try:
        assert server.folder.is_symlink()
        assert not psutil.pid_exists(old) or psutil.Process(old).status() == psutil.STATUS_ZOMBIE
        assert value(server, "select 1") == 1
    finally:
        server.stop()
        server.delete()


def test_a_server_that_starts_without_its_starter_is_joined(server: EmbeddedPostgres) -> None:
    """The starter was killed an instant after it had handed over the lock."""
    server.start()
    server.stop()
    second = EmbeddedPostgres(server.folder, Settings().store.database_dir)
    lock = os.open(server.folder / "postmaster.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as thread:
        joining = thread.submit(second.start)
        while not _waits_for_lock(server.folder / "start.lock"):
            assert not joining.done()
        server._launch(lock)
        os.close(lock)
        joining.result(60)
    assert value(second, "select 1") == 1
    second.stop()


def _waits_for_lock(path: Path) -> bool:
    """Whether a start is under way."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_a_cluster_that_somebody_is_still_making_is_left_to_him(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = embedded(folder)
    server._prepare()
    left = server.folder.resolve() / "data.unfinished-left"
    left.mkdir()
    (left / "PG_VERSION").write_text("1")
    server.start()
    try:
        assert value(server, "select 1") == 1
        assert not left.exists()
    finally:
        server.stop()
        server.delete()
