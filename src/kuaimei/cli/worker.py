"""``kuaimei worker``: one speech engine, for servers on this machine or others."""

import asyncio
import math
import signal
from typing import Annotated

import typer

from kuaimei import __version__
from kuaimei.cli import console
from kuaimei.errors import KuaimeiError, SettingsError
from kuaimei.http.bind import ManagedServer, address_of, bind_socket
from kuaimei.http.connection_limits import connection_registry
from kuaimei.http.uvicorn_http import HttpConfig
from kuaimei.settings import ServerSettings, Settings, is_loopback
from kuaimei.system.folders import private_folder
from kuaimei.system.memory import map_large_blocks
from kuaimei.workers.app import create_worker
from kuaimei.workers.engines import ENGINES, card
from kuaimei.workers.reference_store import ReferenceStore
from kuaimei.workers.types import EngineSpec, Options
from kuaimei.workers.worker import ModelHost

__all__ = ["worker"]

_SHUTDOWN_S = 1


def worker(
    engine: Annotated[
        str, typer.Option(help="Engine to serve; without it, the available engines are listed.")
    ] = "",
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; other than loopback requires a key.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8001,
    model: Annotated[
        str, typer.Option(help="Folder or name of the weights; default: those of the engine.")
    ] = "",
    device: Annotated[str, typer.Option(help="cuda, cuda:1 or cpu; default: the GPU if there is one.")] = "",
    idle_s: Annotated[
        float, typer.Option(min=0.0, help="Unload the engine after this many idle seconds; 0: never.")
    ] = 0.0,
    load: Annotated[bool, typer.Option(help="Load the engine at start-up, not at the first request.")] = True,
    accept_licence: Annotated[
        bool, typer.Option(help="Confirm that the licence of the weights allows your use.")
    ] = False,
) -> None:
    """Serve one speech engine over /v1/audio/speech in its own process; Ctrl+C stops it."""
    if not engine:
        rows: list[list[object]] = [
            [one.name, one.package, one.licence.weights, "yes" if one.licence.commercial else "no"]
            for one in ENGINES.values()
        ]
        console.print_table(["engine", "package", "licence of the weights", "commercial use"], rows)
        return
    map_large_blocks()
    found = card(engine, licence_accepted=accept_licence)
    settings = console.settings_from()
    server = ServerSettings(**{**dict(settings.server), "port": port, "host": host or settings.server.host})
    if not is_loopback(server.host) and not server.api_key.get_secret_value():
        raise SettingsError(f"listening on {server.host} needs an API key: set KUAIMEI_SERVER__API_KEY")
    settings = Settings(**{**dict(settings), "server": server})
    options = Options(
        settings, model=model, device=device, progress=lambda stage: console.note(f"  loading: {stage}")
    )
    asyncio.run(_serve(found, options, idle_s or math.inf, load))


async def _serve(found: EngineSpec, options: Options, idle_s: float, load: bool) -> None:
    """Listen at once and load the engine meanwhile; return on a signal, raise if loading fails."""
    server, licence = options.settings.server, found.licence
    with bind_socket(server) as listening, private_folder() as folder:
        console.note(f"快美 kuaimei {__version__}: {found.name}")
        console.note(f"  weights   {licence.weights}, from {licence.source}; code: {licence.code}")
        serving_worker = ModelHost(found, options, idle_s)
        app = create_worker(serving_worker, ReferenceStore(folder), server)
        config = HttpConfig(
            app,
            connection_registry(server),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )
        running = ManagedServer(config)

        def stop() -> None:
            running.force_exit = running.should_exit  # a second signal skips waiting for connections
            running.should_exit = True

        serving = asyncio.ensure_future(running.serve(sockets=[listening]))
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop)
        loading = asyncio.ensure_future(_load(serving_worker, load))
        try:
            await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
            if loading.done() and not loading.cancelled() and not loading.exception():
                console.note(f"Ready. Serving at {address_of(listening)}/v1")
                await serving
        finally:
            running.should_exit = True
            loading.cancel()
            await asyncio.gather(serving, loading, return_exceptions=True)
        if not loading.cancelled() and isinstance(error := loading.exception(), KuaimeiError):
            raise error


async def _load(serving: ModelHost, load: bool) -> None:
    if load:
        await serving.load("fast")
