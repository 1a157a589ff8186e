"""The server behind ``kuaimei serve``: a slow import, so it is imported while the database starts."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from fastapi import FastAPI

from kuaimei.cli import console
from kuaimei.cli.startup_watchdog import StartWatch
from kuaimei.http.bind import address_of, bind_socket
from kuaimei.http.refusals import Refusals
from kuaimei.models.errors import mb
from kuaimei.models.source import EngineSource
from kuaimei.people.authentication import Authentication
from kuaimei.people.machine_key import read_machine_key
from kuaimei.runtime import expected_parts, open_runtime, voice_training_state
from kuaimei.server.app import create_app
from kuaimei.server.https.serve import Https, open_https, with_own_names
from kuaimei.server.protocols import AppRuntime
from kuaimei.server.serve import make_server
from kuaimei.server.startup_app import StartupApp
from kuaimei.settings import Settings
from kuaimei.store.postgres.startup import DatabaseStart
from kuaimei.system.folders import remove_own_folders
from kuaimei.voices.training.environment.state import EnvironmentState

__all__ = ["run"]

_LOADING_S: Final = 1.0
"""Seconds that loading models may delay a shutdown during start-up."""


async def run(settings: Settings, database: DatabaseStart, watch: StartWatch) -> None:
    """Listen at once, serving the page while the models load; return on a signal or raise on failure.

    Args:
        settings: The settings.
        database: The embedded database, which is already starting.
        watch: Watchdog that limits the start-up time.
    """
    settings = with_own_names(settings)
    authentication, refusals = await asyncio.to_thread(Authentication.of_machine, settings), Refusals()
    async with contextlib.AsyncExitStack() as stack:
        listening = stack.enter_context(bind_socket(settings.server))
        secure: Https | None = None
        if settings.server.https:
            secure = await stack.enter_async_context(open_https(settings, listening))
        parts = expected_parts(settings)
        watch.expect(parts)
        startup_app = StartupApp(settings, expecting=parts, authentication=authentication, refusals=refusals)
        server = make_server(startup_app, settings.server, secure.context if secure else None)
        address = secure.addresses[0] if secure else address_of(listening)
        if secure is not None:
            console.note(secure.announcement())
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        is_open = asyncio.Event()
        application = partial(create_app, authentication=authentication, refusals=refusals)
        living = asyncio.ensure_future(
            _live(settings, database, watch, startup_app, application, serving, address, is_open, secure)
        )

        def stop() -> None:
            server.force_exit = server.should_exit  # a second signal skips waiting for connections
            server.should_exit = True

        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop)
        await asyncio.wait({serving, living}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        if not is_open.is_set() and living.cancel():
            # Loading models cannot be interrupted and may even block the event loop.
            threading.Thread(target=_leave_soon, args=(database,), daemon=True).start()
        await serving
        with contextlib.suppress(asyncio.CancelledError):
            await living


async def _live(
    settings: Settings,
    database: DatabaseStart,
    watch: StartWatch,
    startup_app: StartupApp,
    application: Callable[[AppRuntime], FastAPI],
    serving: "asyncio.Future[None]",
    address: str,
    is_open: asyncio.Event,
    secure: Https | None,
) -> None:
    """Open the runtime, replace the start-up app, print what is loaded, and stay until serving ends."""

    def ready(name: str) -> None:
        startup_app.progress(name)
        watch.ready(name)

    opening = open_runtime(settings, progress=ready, database=database, when_kept=partial(_leave, database))
    async with opening as runtime, startup_app.opened(application(runtime)):
        watch.close()
        is_open.set()
        if secure is not None:
            runtime.tasks.include(secure.tasks)
        for source in runtime.loaded:
            console.note(_loaded(source))
        kept = runtime.store.describe() if runtime.store is not None else "conversations are not stored"
        console.note(f"  store     {kept}")
        console.note(f"Ready after {watch.elapsed_s:.1f} s. Open {_entry_url(settings, address)}")
        if runtime.voices is None:
            await asyncio.shield(serving)
            return
        runtime.voices.context.environment.changed.append(_EnvironmentLog().note)
        async with voice_training_state(runtime.voices, runtime.tasks):
            await asyncio.shield(serving)


class _EnvironmentLog:
    """Prints when installing the training environment begins, fails and ends."""

    def __init__(self) -> None:
        self._noted = ""

    def note(self, state: EnvironmentState) -> None:
        beginning = state.state == "making" and state.size is not None
        if state.state == self._noted or not (beginning or state.state in ("unavailable", "ready")):
            return
        self._noted = state.state
        if beginning and state.size:
            console.note(f"  training  installing the environment: {mb(state.size)} to download")
        elif beginning:
            console.note("  training  installing the environment; everything is downloaded already")
        else:
            console.note(f"  training  {state.detail}")


def _entry_url(settings: Settings, address: str) -> str:
    """Return the URL to open; where the machine key is valid, it is added in the fragment (never logged)."""
    if settings.server.open or settings.server.api_key.get_secret_value():
        return address
    return f"{address}/#key={read_machine_key(settings.home)}"


def _leave(database: DatabaseStart) -> None:
    """End the process at once: everything is stored by now, and skipping the teardown frees memory sooner."""
    database.close()
    remove_own_folders()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _leave_soon(database: DatabaseStart) -> None:
    time.sleep(_LOADING_S)
    _leave(database)


def _loaded(source: EngineSource) -> str:
    where = source.where or (str(source.path) if source.path else "built in")
    licence = f"  ({source.licence})" if source.licence else ""
    return f"  {source.role:9} {source.name}{licence}  {where}"
