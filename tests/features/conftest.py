"""What every scenario has at hand."""

import asyncio
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from kuaimei.settings import AnalysisSettings, RenderingSettings, ServerSettings, Settings, StoreSettings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from tests.features.planned_tags import pytest_bdd_apply_tag, pytest_terminal_summary
from tests.features.real_runtime import RealRuntime, opened
from tests.features.world import World
from tests.integration.cli.conftest import environment, home, kuaimei
from tests.integration.store.conftest import cluster, folder, made

__all__ = [
    "cluster",
    "environment",
    "folder",
    "home",
    "kuaimei",
    "made",
    "pytest_bdd_apply_tag",
    "pytest_terminal_summary",
]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Runs in a thread of its own, so that servers serve and jobs work between two steps."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scenarios", daemon=True)
    thread.start()
    yield loop
    asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(30)
    asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    loop.close()


@pytest.fixture
def world(loop: asyncio.AbstractEventLoop) -> Iterator[World]:
    """Of one scenario."""
    world = World(loop)
    yield world
    world.close()


def _database(cluster: EmbeddedPostgres) -> StoreSettings:
    cluster.ensure_running()
    name = f"feature_{next(_numbers)}"
    with psycopg.connect(cluster.conninfo, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return StoreSettings(database_url=cluster.conninfo.replace("dbname=postgres", f"dbname={name}"))


@pytest.fixture
def settings(cluster: EmbeddedPostgres, tmp_path: Any) -> Settings:
    """With a database and a data folder of one's own; without jobs that nobody does here."""
    rendering, analysis = RenderingSettings(hq="none"), AnalysisSettings(enabled=False)
    home = tmp_path / "home"
    given: dict[str, Any] = {"rendering": rendering, "analysis": analysis}
    server = ServerSettings(open=True)
    return Settings(home=home, store=_database(cluster), voice="", server=server, **given)


@pytest.fixture(scope="session")
def runtime(loop: asyncio.AbstractEventLoop, cluster: EmbeddedPostgres) -> Iterator[RealRuntime]:
    """The whole application with real (light) models, served; opened when the first scenario asks."""
    world = World(loop)
    try:
        yield world.enter(opened(world, _database(cluster)), 280.0)
    finally:
        world.close()
