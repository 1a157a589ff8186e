"""``kuaimei serve``: the server."""

import asyncio
import contextlib
import signal
import socket
import time
from typing import Annotated

import typer

from kuaimei import __version__
from kuaimei.cli import console
from kuaimei.cli.setup import prepare
from kuaimei.errors import SettingsError
from kuaimei.models.source import Source
from kuaimei.server import create_app, make_server
from kuaimei.settings import ServerSettings, Settings
from kuaimei.wiring import open_house

__all__ = ["serve"]


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; beyond loopback a key is needed.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    fetch: Annotated[bool, typer.Option(help="First do what `kuaimei setup` does, if need be.")] = False,
    llm: Annotated[
        str | None, typer.Option(help="Catalogue name, path, or URL of an OpenAI-compatible server.")
    ] = None,
) -> None:
    """Start the server and print the address to open; Ctrl+C stops it."""
    settings = console.settings_from(llm=llm)
    given = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    if given:
        server = ServerSettings(**{**dict(settings.server), **given})
        settings = Settings(**{**dict(settings), "server": server})
    if fetch:
        prepare(settings)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    started = time.monotonic()
    listening = _listen(settings.server)  # before the models are loaded: a busy port is told at once
    if (me := asyncio.current_task()) is not None:  # until uvicorn takes the signals over
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    console.note(f"快美 kuaimei {__version__}: loading …")

    def ready(name: str) -> None:
        console.note(f"  ready: {name} ({time.monotonic() - started:.1f} s)")

    with listening:
        async with open_house(settings, progress=ready) as house:
            for source in house.loaded:
                console.note(_loaded(source))
            kept = house.store.describe() if house.store is not None else "nothing said is kept"
            console.note(f"  store     {kept}")
            bound = listening.getsockname()
            address = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            console.note(f"Ready after {time.monotonic() - started:.1f} s. Open http://{address}:{bound[1]}")
            await make_server(create_app(house), settings.server).serve(sockets=[listening])


def _listen(server: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        return socket.create_server((server.host, server.port), family=family, backlog=128)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {server.host} port {server.port} ({error.strerror}): "
            "choose another with --port, or stop what is using it"
        ) from None


def _loaded(source: Source) -> str:
    where = source.url or (str(source.path) if source.path else "built in")
    licence = f"  ({source.licence})" if source.licence else ""
    return f"  {source.role:9} {source.name}{licence}  {where}"
