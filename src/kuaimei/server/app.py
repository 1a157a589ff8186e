"""The FastAPI application: routers, wrapped in authentication and limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from kuaimei import __version__
from kuaimei.http.errors import install_error_handlers
from kuaimei.http.limits import BodyLimit, ConcurrencyLimiter, UploadGate
from kuaimei.http.refusals import Refusals
from kuaimei.http.security import AuthMiddleware
from kuaimei.http.security_headers import SafeHeaders
from kuaimei.http.url_check import PlainAddress
from kuaimei.people.authentication import Authentication
from kuaimei.server import static_page as pages
from kuaimei.server.account_deletion import AccountDeletion
from kuaimei.server.admission import Admission
from kuaimei.server.metrics import Metrics
from kuaimei.server.protocols import AppRuntime
from kuaimei.server.readiness import Readiness
from kuaimei.server.realtime import websocket
from kuaimei.server.realtime.connections import ConnectionManager
from kuaimei.server.rest import (
    analysis,
    chat,
    health,
    listening_tests,
    me,
    models,
    ratings,
    recordings,
    sessions,
    speech,
    status,
    transcriptions,
    voices,
)
from kuaimei.server.static_page import Page
from kuaimei.server.voice_previews import VoicePreviews
from kuaimei.server.webrtc import calls
from kuaimei.system.memory import release_regularly
from kuaimei.system.supervision import Supervisor

__all__ = ["create_app"]

_UPLOADS = 4
"""Concurrent uploads per upload path, before they are processed."""
_UPLOADS_WAITING = 32


def create_app(
    runtime: AppRuntime,
    page: Page | None = None,
    *,
    authentication: Authentication | None = None,
    refusals: Refusals | None = None,
) -> FastAPI:
    """Create the application that serves HTTP, WebSocket and WebRTC for an open ``runtime``.

    Args:
        runtime: Open, with warm engines.
        page: The web page; None: the built one.
        authentication: Authenticates callers; None: by the settings and the people in the store, without the
            machine's own key.
        refusals: Counts and logs refused requests; None: a new one.
    """
    authentication = authentication or Authentication(runtime.settings.server)
    refusals = refusals or Refusals()
    # The interactive documentation is off: it loads scripts from other servers, and nothing here may do that.
    app = FastAPI(
        title="快美 kuaimei",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=_lifespan,
    )
    server = runtime.settings.server
    metrics = Metrics(runtime.schedulers, runtime.hq, runtime.analysis, refusals, runtime.tasks)
    app.state.runtime = runtime
    app.state.metrics = metrics
    app.state.admission = Admission(server.max_sessions, server.max_waiting, metrics.sessions)
    app.state.authentication = authentication
    app.state.refusals = refusals
    app.state.connections = ConnectionManager(runtime, app.state.admission, metrics, authentication)
    app.state.calls = calls.CallRegistry(app.state.connections, server)
    app.state.page = page = page or Page()
    app.state.readiness = Readiness(runtime.store)
    app.state.voice_previews = _voice_previews(runtime)
    app.state.account_deletion = AccountDeletion(runtime)
    app.state.decoding = ConcurrencyLimiter("transcriptions", running=2, waiting=16)
    app.state.enrolling = ConcurrencyLimiter("new voices", running=1, waiting=8)
    if runtime.voices is not None:
        runtime.voices.context.changed.append(app.state.voice_previews.forget)
    rooms = (
        websocket,
        calls,
        speech,
        transcriptions,
        chat,
        models,
        sessions,
        recordings,
        voices,
        listening_tests,
        analysis,
        ratings,
        status,
        health,
        me,
    )
    for room in rooms:
        app.include_router(room.router)
    app.include_router(pages.router)
    for path in page.paths - {"/"}:
        app.add_route(path, pages.file, methods=["GET"], include_in_schema=False)
    install_error_handlers(app)
    files_mb = {
        transcriptions.PATH: server.max_body_mb,
        voices.PATH: runtime.settings.voices.max_upload_mb,
    }
    app.add_middleware(BodyLimit, files={path: mb * 1024 * 1024 for path, mb in files_mb.items()})
    app.add_middleware(PlainAddress)
    app.add_middleware(
        UploadGate,
        gates={path: ConcurrencyLimiter("uploads", _UPLOADS, _UPLOADS_WAITING) for path in files_mb},
    )
    # Outside of the body limits: bodies of unauthenticated requests are not read.
    app.add_middleware(
        AuthMiddleware,
        settings=server,
        open_paths=page.paths,
        authentication=authentication,
        refusals=refusals,
    )
    # The outermost: refusals need these headers, too.
    app.add_middleware(SafeHeaders)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run background tasks with the application and end the WebRTC calls; WebSockets end with the server."""
    store = app.state.runtime.store
    people, keys = (None, None) if store is None else (store.people, store.keys)
    async with Supervisor() as supervisor:
        app.state.runtime.tasks.include(supervisor)
        async with app.state.authentication.following(people, keys, supervisor):
            supervisor.start("forgetting", app.state.account_deletion.tend)
            supervisor.start("memory", release_regularly)
            yield
            await app.state.calls.close()
        await app.state.account_deletion.close()


def _voice_previews(runtime: AppRuntime) -> VoicePreviews:
    engine = next((source.name for source in runtime.loaded if source.role == "tts"), "")
    return VoicePreviews(runtime.engines.synthesizer, engine, runtime.settings.home / "cache" / "voices")
