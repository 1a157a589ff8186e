"""``kuaimei serve``: the server."""

import asyncio
import contextlib
import faulthandler
import signal
import time
from typing import Annotated

import typer

from kuaimei import __version__
from kuaimei.cli import console
from kuaimei.cli.setup import prepare
from kuaimei.models.failures import mb
from kuaimei.models.source import Source
from kuaimei.server import Doorway, create_app, make_server
from kuaimei.server.https.serving import Https, open_https, with_own_names
from kuaimei.server.listening import address_of, listen
from kuaimei.settings import ServerSettings, Settings
from kuaimei.voices.environment.state import EnvironmentState
from kuaimei.wiring import PARTS, making_learnable, open_house

__all__ = ["serve"]

_LONG_S = 120.0
"""Loading that takes longer hangs, or the disk is very slow: the log is to say where."""


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; beyond loopback a key is needed.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    fetch: Annotated[bool, typer.Option(help="First do what `kuaimei setup` does, if need be.")] = False,
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
    wanted = {"host": host, "port": port, "https": https}
    given = {name: value for name, value in wanted.items() if value is not None}
    if given:
        server = ServerSettings(**{**dict(settings.server), **given})
        settings = Settings(**{**dict(settings), "server": server})
    if fetch:
        prepare(settings)
    asyncio.run(_serve(with_own_names(settings)))


async def _serve(settings: Settings) -> None:
    """Listen at once, showing the page while the models are loaded; end with a signal or a failure."""
    async with contextlib.AsyncExitStack() as stack:
        listening = stack.enter_context(listen(settings.server))
        secure: Https | None = None
        if settings.server.https:
            secure = await stack.enter_async_context(open_https(settings, listening))
        door = Doorway(settings, expecting=PARTS)
        server = make_server(door, settings.server, secure.context if secure else None)
        address = secure.addresses[0] if secure else address_of(listening)
        if secure is not None:
            console.note(secure.told())
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        is_open = asyncio.Event()
        living = asyncio.ensure_future(_live(settings, door, serving, address, is_open))

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
    serving: "asyncio.Future[None]",
    address: str,
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
    async with open_house(settings, progress=ready) as house, door.opened(create_app(house)):
        wondering.cancel()
        is_open.set()
        for source in house.loaded:
            console.note(_loaded(source))
        kept = house.store.describe() if house.store is not None else "nothing said is kept"
        console.note(f"  store     {kept}")
        console.note(f"Ready after {time.monotonic() - started:.1f} s. Open {address}")
        if house.voices is None:
            await asyncio.shield(serving)
            return
        house.voices.room.environment.changed.append(_Environment().changed)
        async with making_learnable(house.voices):
            await asyncio.shield(serving)


class _Environment:
    """Says when making the environment for learning voices begins, fails and ends."""

    def __init__(self) -> None:
        self._told = ""

    def changed(self, state: EnvironmentState) -> None:
        beginning = state.state == "making" and state.size is not None
        if state.state == self._told or not (beginning or state.state in ("unavailable", "ready")):
            return
        self._told = state.state
        if beginning and state.size:
            console.note(f"  learning  its environment is being made: {mb(state.size)} will be downloaded")
        elif beginning:
            console.note("  learning  its environment is being made; all of it has been downloaded")
        else:
            console.note(f"  learning  {state.detail}")


def _loaded(source: Source) -> str:
    where = source.url or (str(source.path) if source.path else "built in")
    licence = f"  ({source.licence})" if source.licence else ""
    return f"  {source.role:9} {source.name}{licence}  {where}"
