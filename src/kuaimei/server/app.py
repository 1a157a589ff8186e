"""The application: routers, and around them who may come in and how much."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from kuaimei import __version__
from kuaimei.server.admission import Admission
from kuaimei.server.errors import install_error_handlers
from kuaimei.server.house import House
from kuaimei.server.limits import BodyLimit, Gate
from kuaimei.server.metrics import Metrics
from kuaimei.server.realtime import ws
from kuaimei.server.realtime.reception import Reception
from kuaimei.server.rest import chat, health, models, recordings, sessions, speech, transcriptions
from kuaimei.server.security import Guard
from kuaimei.server.webrtc import calls

__all__ = ["create_app"]


def create_app(house: House) -> FastAPI:
    """Everything over HTTP and WebSocket, for an open ``house``."""
    # The interactive documentation would fetch its scripts from elsewhere: nothing here does.
    app = FastAPI(
        title="快美 kuaimei",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=_lifespan,
    )
    server = house.settings.server
    metrics = Metrics(house.lanes)
    app.state.house = house
    app.state.metrics = metrics
    app.state.admission = Admission(server.max_sessions, server.max_waiting, metrics.sessions)
    app.state.reception = Reception(house, app.state.admission, metrics)
    app.state.calls = calls.Calls(app.state.reception, server)
    app.state.decoding = Gate("transcriptions", running=2, waiting=16)
    for room in (ws, calls, speech, transcriptions, chat, models, sessions, recordings, health):
        app.include_router(room.router)
    install_error_handlers(app)
    files = frozenset({transcriptions.PATH})
    app.add_middleware(BodyLimit, files=files, file_limit=server.max_body_mb * 1024 * 1024)
    app.add_middleware(Guard, settings=server)  # the outermost: nothing is read from strangers
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """WebSockets end with the server by themselves; calls do not."""
    yield
    await app.state.calls.close()
