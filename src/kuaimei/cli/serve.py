"""``kuaimei serve``: start the server."""

import asyncio
import signal
import sys
from functools import partial
from types import FrameType
from typing import Annotated

import typer

from kuaimei import __version__
from kuaimei.cli import console
from kuaimei.cli.startup_watchdog import StartWatch
from kuaimei.settings import ServerSettings, Settings
from kuaimei.store.postgres.startup import DatabaseStart, starting_database
from kuaimei.system.folders import remove_own_folders
from kuaimei.system.memory import map_large_blocks

__all__ = ["serve"]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    open_: Annotated[
        bool | None,
        typer.Option("--open/--with-key", help="Require no key (loopback only)."),
    ] = None,
    fetch: Annotated[bool, typer.Option(help="First do what `kuaimei setup` does, if necessary.")] = False,
    https: Annotated[
        bool | None,
        typer.Option(
            "--https/--http", help="Serve HTTPS with a certificate of the server's own authority, for phones."
        ),
    ] = None,
    llm: Annotated[
        str | None, typer.Option(help="Catalogue name, path, or URL of an OpenAI-compatible server.")
    ] = None,
) -> None:
    """Start the server and print the address to open; Ctrl+C stops it."""
    settings = console.settings_from(llm=llm)
    asked = {"host": host, "port": port, "open": open_, "https": https}
    given = {name: value for name, value in asked.items() if value is not None}
    if given:
        server = ServerSettings(**{**dict(settings.server), **given})
        settings = Settings(**{**dict(settings), "server": server})
    map_large_blocks()
    signal.signal(signal.SIGTERM, _leave)  # until the server installs its own handler
    with starting_database(settings) as database:
        if fetch:
            from kuaimei.cli.setup import prepare

            prepare(settings, before_computing=database.join)
        timeout_s = settings.server.start_timeout_s
        limit = f"exits with an error if not ready after {timeout_s:g} s"
        console.note(f"快美 kuaimei {__version__}: loading … ({limit})")
        with StartWatch(timeout_s, console.note, partial(_leave_nothing, database)) as watch:
            # Imported here: it takes about as long as the database needs to start.
            from kuaimei.cli.run_server import run

            asyncio.run(run(settings, database, watch))


def _leave_nothing(database: DatabaseStart) -> None:
    database.close()
    remove_own_folders()


def _leave(number: int, frame: FrameType | None) -> None:
    """Exit as on Ctrl+C: the stack is unwound and the database stopped."""
    sys.exit(128 + number)
