"""One PostgreSQL for all tests of the store, a database and a data folder for each."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from kuaimei.settings import Settings, StoreSettings
from kuaimei.store.embedded import EmbeddedPostgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(cluster: EmbeddedPostgres, tmp_path: Path) -> Settings:
    cluster.ensure_running()
    name = f"test_{next(_numbers)}"
    with psycopg.connect(cluster.conninfo, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = cluster.conninfo.replace("dbname=postgres", f"dbname={name}")
    return Settings(home=tmp_path / "home", store=StoreSettings(database_url=url))


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
