"""PostgreSQL from the wheel: started, shared, killed, started again."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from kuaimei.errors import StoreError
from kuaimei.settings import Settings
from kuaimei.store import open_store
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.postgres.postmaster import find_postmaster
from kuaimei.store.postgres.sockets import socket_folder
from tests.integration.store.conftest import copy, embedded
from tests.support.store.talking import hear, sound

ROOT = Path(__file__).parents[4]


def value(server: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_it_starts_stops_and_keeps(server: EmbeddedPostgres) -> None:
    server.start()
    assert str(value(server, "show server_version")).startswith("18")
    assert value(server, "show listen_addresses") == ""
    assert value(server, "select datlocale from pg_database where datname = 'postgres'") == "C.UTF-8"
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("create table words as select '美' as word")
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    server.stop()
    assert find_postmaster(server.data) is None
    server.stop()  # once more does no harm
    server.start()
    assert value(server, "select word from words") == "美"


def test_the_last_one_out_stops_it(folder: Path) -> None:
    server, second = embedded(folder), embedded(folder)
    with ThreadPoolExecutor(2) as both:  # at once, on a folder where nothing is yet
        list(both.map(EmbeddedPostgres.start, (server, second)))
    server.stop()
    assert value(second, "select 1") == 1
    second.stop()
    assert find_postmaster(server.data) is None


def test_who_was_killed_does_not_count(server: EmbeddedPostgres) -> None:
    script = (
        "import sys, time; from pathlib import Path; "
        "from kuaimei.store.postgres.embedded_server import EmbeddedPostgres;"
        "EmbeddedPostgres(*map(Path, sys.argv[1:])).start(); print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(server.folder), str(Settings().store.database_dir)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGKILL)
    pid = find_postmaster(server.data)
    assert pid is not None  # it lives on without its starter
    server.start()
    assert find_postmaster(server.data) == pid
    server.stop()
    assert find_postmaster(server.data) is None


def test_a_killed_server_comes_back(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("create table words as select 'kept' as word")
    pid = find_postmaster(server.data)
    assert pid is not None
    family = [*psutil.Process(pid).children(), psutil.Process(pid)]
    psutil.Process(pid).kill()
    psutil.wait_procs(family, timeout=30)
    server.ensure_running()
    assert value(server, "select word from words") == "kept"
    server.ensure_running()
    server.stop()
    assert find_postmaster(server.data) is None


@pytest.mark.parametrize("pid", ["me", "nobody", "garbage"])
def test_a_stale_pid_file_stops_nobody(server: EmbeddedPostgres, pid: str) -> None:
    server.start()
    server.stop()
    number = {"me": str(os.getpid()), "nobody": "999999", "garbage": "?"}[pid]
    (server.data / "postmaster.pid").write_text(f"{number}\n{server.data}\n1\n5432\n\n\n0 0\nready\n")
    server.start()
    assert value(server, "select 1") == 1


def test_a_half_made_cluster_is_made_anew(server: EmbeddedPostgres) -> None:
    half = server.folder / "data.unfinished"
    server.data.rename(half)  # killed an instant before it had its name
    server.start()
    assert value(server, "select 1") == 1
    assert not half.exists()


def test_a_path_too_long_for_a_socket(made: Path, folder: Path) -> None:
    server = embedded(folder / ("長" * 30))
    copy(made, server)
    server.start()
    try:
        assert value(server, "select 1") == 1
        assert not socket_folder(server.folder.resolve()).is_relative_to(folder)
    finally:
        server.stop()


def test_another_major_version_is_told(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.data / "PG_VERSION").write_text("16\n")
    with pytest.raises(StoreError, match="PostgreSQL 16, but this is 18"):
        server.start()


@pytest.mark.usefixtures("trouble")
async def test_the_store_revives_its_own_server(server: EmbeddedPostgres) -> None:
    settings = Settings(home=server.folder.parent)
    async with open_store(settings) as store:
        assert store.describe().startswith("embedded PostgreSQL, recordings in ")
        pid = find_postmaster(server.data)
        assert pid is not None
        family = [*psutil.Process(pid).children(), psutil.Process(pid)]
        psutil.Process(pid).kill()
        await asyncio.to_thread(psutil.wait_procs, family, 30)
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(8000))
        assert await store.flush(60.0)
        (kept,) = await store.utterances("sess_a")
        assert kept.state == "stored"
        await recorder.close()
    assert find_postmaster(server.data) is None
