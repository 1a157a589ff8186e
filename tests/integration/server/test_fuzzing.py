"""The fuzzer for a few seconds; `python -m bench.fuzz` is the long form."""

from pathlib import Path

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from bench import fuzz as fuzzer
from bench.fuzz import fuzz
from kuaimei.settings import AnalysisSettings, Settings


def test_nothing_that_clients_send_breaks_anything(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"analysis": AnalysisSettings(enabled=True)})
    result = fuzz(tmp_path, 4_000, 120.0, 7, settings)
    assert not result.findings.faults
    assert result.unsaved == 0
    kinds = " ".join(result.findings.sent)
    for kind in ("event", "binary frame", "fragmented frame", "request GET", "request POST", "garbage"):
        assert kind in kinds
    answers = result.findings.answers
    assert answers["response.done"] > 10  # it was not all refused
    assert answers["200"] > 0


def test_it_would_tell(settings: Settings, tmp_path: Path) -> None:
    """What one owner is told of another, a crash, and a 500 are found: on a server that does all three."""

    class Broken:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"].startswith("/api/sessions"):
                body = " ".join(owner.sentinel for owner in fuzzer._OWNERS).encode()
                await send({"type": "http.response.start", "status": 500, "headers": []})
                await send({"type": "http.response.body", "body": body})
            elif scope["type"] == "http" and scope["path"].startswith("/api/"):
                raise ValueError("a crash")
            else:
                await self._app(scope, receive, send)

    def prepare(app: FastAPI) -> None:
        app.user_middleware.append(Middleware(Broken))

    result = fuzz(tmp_path, 6_000, 120.0, 7, settings, prepare=prepare)
    told = "\n".join(result.findings.faults)
    assert "was told what" in told
    assert "GET http://127.0.0.1" in told
    assert "logged by uvicorn.error" in told
