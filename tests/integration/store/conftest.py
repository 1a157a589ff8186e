"""One PostgreSQL for all tests of the store, a database and a data folder for each."""

import itertools
import logging
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from kuaimei.settings import AnalysisSettings, RenderingSettings, ServerSettings, Settings, StoreSettings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.postgres.postmaster import find_postmaster

_numbers = itertools.count(1)


@contextmanager
def _folder() -> Iterator[Path]:
    """With a short path, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="kuaimei-test-") as name:
        yield Path(name)


def embedded(folder: Path) -> EmbeddedPostgres:
    """The cluster of the data folder ``folder``."""
    return EmbeddedPostgres(folder / "postgres", Settings().store.database_dir)


@pytest.fixture
def folder() -> Iterator[Path]:
    with _folder() as path:
        yield path


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """The data of a cluster that was made and never used, to be copied: making one takes seconds."""
    with _folder() as path:
        server = embedded(path)
        server.start()
        server.stop()
        yield server.data
        server.delete()


@pytest.fixture(scope="session")
def cluster(made: Path) -> Iterator[EmbeddedPostgres]:
    with _folder() as path:
        server = embedded(path)
        copy(made, server)
        server.start()
        yield server
        server._pg_ctl("stop", "-m", "immediate")  # nobody will ask for what is in it
        server.stop()
        server.delete()


def copy(made: Path, server: EmbeddedPostgres) -> None:
    """Into the data folder itself, as earlier versions had it: as root, the first start moves it."""
    server.folder.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(made), str(server.data)], check=True)
    with (server.data / "postgresql.auto.conf").open("a") as configuration:
        configuration.write(
            "fsync = off\n"
        )  # no test pulls the plug, and dozens of databases take their time


@pytest.fixture
def server(made: Path, folder: Path) -> Iterator[EmbeddedPostgres]:
    """A cluster of one's own, not started."""
    found = embedded(folder)
    copy(made, found)
    yield found
    found.stop()
    if find_postmaster(found.data) is not None:  # a test left it to somebody who was killed
        found._pg_ctl("stop", "-m", "immediate")
    found.delete()


@pytest.fixture
def settings(cluster: EmbeddedPostgres, tmp_path: Path) -> Settings:
    cluster.ensure_running()
    name = f"test_{next(_numbers)}"
    with psycopg.connect(cluster.conninfo, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = cluster.conninfo.replace("dbname=postgres", f"dbname={name}")
    # Jobs that nobody does here would be in the way; test_renderings and test_analyses have them.
    rendering, analysis = RenderingSettings(hq="none"), AnalysisSettings(enabled=False)
    kept = StoreSettings(database_url=url)
    server = ServerSettings(open=True)
    return Settings(home=tmp_path / "home", store=kept, rendering=rendering, analysis=analysis, server=server)


@pytest.fixture(autouse=True)
def no_trouble(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing went wrong behind the scenes, where it would be tried again in silence."""
    yield
    if "trouble" not in request.fixturenames:
        loud = [r for r in caplog.get_records("call") if r.levelno >= logging.WARNING]
        assert not [r.getMessage() for r in loud if r.name.startswith(("kuaimei", "procrastinate"))]


@pytest.fixture
def trouble() -> None:
    """This test makes trouble: warnings are expected."""
