"""``kuaimei serve``: the server."""

import asyncio
import contextlib
import faulthandler
import signal
import socket
import time
from typing import Annotated

import typer

from kuaimei import __version__
from kuaimei.cli import console
from kuaimei.cli.setup import prepare
from kuaimei.models.source import Source
from kuaimei.people.entrance import Entrance
from kuaimei.people.machine_key import read_machine_key
from kuaimei.server import Doorway, create_app, make_server
from kuaimei.server.listening import address_of, listen
from kuaimei.server.refusals import Refusals
from kuaimei.settings import ServerSettings, Settings
from kuaimei.wiring import PARTS, open_house

__all__ = ["serve"]

_LONG_S = 120.0
"""Loading that takes longer hangs, or the disk is very slow: the log is to say where."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    open_: Annotated[
        bool | None,
        typer.Option("--open/--with-key", help="Ask for no key; on loopback only."),
    ] = None,
    fetch: Annotated[bool, typer.Option(help="First do what `kuaimei setup` does, if need be.")] = False,
    llm: Annotated[
        str | None, typer.Option(help="Catalogue name, path, or URL of an OpenAI-compatible server.")
    ] = None,
) -> None:
    """Start the server and print the address to open; Ctrl+C stops it."""
    settings = console.settings_from(llm=llm)
    asked = {"host": host, "port": port, "open": open_}
    given = {name: value for name, value in asked.items() if value is not None}
    if given:
        server = ServerSettings(**{**dict(settings.server), **given})
        settings = Settings(**{**dict(settings), "server": server})
    if fetch:
        prepare(settings)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    """Listen at once, showing the page while the models are loaded; end with a signal or a failure."""
    entrance, refusals = await asyncio.to_thread(Entrance.of_machine, settings), Refusals()
    with listen(settings.server) as listening:
        door = Doorway(settings, expecting=PARTS, entrance=entrance, refusals=refusals)
        server = make_server(door, settings.server)
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        is_open = asyncio.Event()
        living = asyncio.ensure_future(_live(settings, door, entrance, refusals, serving, listening, is_open))

        def stop() -> None:
            server.force_exit = server.should_exit  # asked twice, it does not wait for anybody
            server.should_exit = True

        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop)
        await asyncio.wait({serving, living}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        if not is_open.is_set():
            living.cancel()
        await serving
        with contextlib.suppress(asyncio.CancelledError):
            await living


async def _live(
    settings: Settings,
    door: Doorway,
    entrance: Entrance,
    refusals: Refusals,
    serving: "asyncio.Future[None]",
    listening: socket.socket,
    is_open: asyncio.Event,
) -> None:
    """Open the house behind ``door``, tell what is in it, and keep it open while it is served."""
    started = time.monotonic()
    console.note(f"快美 kuaimei {__version__}: loading …")

    def ready(name: str) -> None:
        door.progress(name)
        console.note(f"  ready: {name} ({time.monotonic() - started:.1f} s)")

    def wonder() -> None:
        console.note(f"still loading after {_LONG_S:.0f} s; what every thread is doing:")
        faulthandler.dump_traceback()

    wondering = asyncio.get_running_loop().call_later(_LONG_S, wonder)
    async with (
        open_house(settings, progress=ready) as house,
        door.opened(create_app(house, entrance=entrance, refusals=refusals)),
    ):
        wondering.cancel()
        is_open.set()
        for source in house.loaded:
            console.note(_loaded(source))
        kept = house.store.describe() if house.store is not None else "nothing said is kept"
        console.note(f"  store     {kept}")
        console.note(f"Ready after {time.monotonic() - started:.1f} s. Open {_way_in(settings, listening)}")
        await asyncio.shield(serving)


def _way_in(settings: Settings, listening: socket.socket) -> str:
    """The address to open; with the machine's own key where that lets in, in the part that no log sees."""
    address = address_of(listening)
    if settings.server.open or settings.server.api_key.get_secret_value():
        return address
    return f"{address}/#key={read_machine_key(settings.home)}"


def _loaded(source: Source) -> str:
    where = source.url or (str(source.path) if source.path else "built in")
    licence = f"  ({source.licence})" if source.licence else ""
    return f"  {source.role:9} {source.name}{licence}  {where}"
