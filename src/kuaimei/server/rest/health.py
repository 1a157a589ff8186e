"""``/healthz``, ``/readyz``, ``/metrics``, and the page at ``/``."""

import asyncio
import html
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import HTMLResponse, JSONResponse, Response

from kuaimei import __version__
from kuaimei.errors import KuaimeiError
from kuaimei.server.metrics import Metrics
from kuaimei.server.names import model_id
from kuaimei.server.rest.common import InHouse, Owner

__all__ = ["router"]

router = APIRouter()

_STORE_S = 3.0


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """It runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(house: InHouse) -> JSONResponse:
    """It can take a conversation: engines are warm before the server opens, so the store decides."""
    checks: dict[str, Any] = {"engines": "ok", "store": "off"}
    if house.store is not None:
        try:
            async with asyncio.timeout(_STORE_S):
                health = await house.store.health()
            checks["store"] = "ok" if health.ok else "unavailable"
        except (KuaimeiError, TimeoutError):
            checks["store"] = "unavailable"
    ready = checks["store"] != "unavailable"
    body = {"status": "ready" if ready else "not ready", "checks": checks}
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/metrics")
async def metrics(request: Request, house: InHouse) -> Response:
    """In the text form of Prometheus."""
    known: Metrics = request.app.state.metrics
    if house.store is not None:
        try:
            async with asyncio.timeout(_STORE_S):
                known.store.update(await house.store.statistics())
        except (KuaimeiError, TimeoutError):
            known.store.update(None)
    return Response(generate_latest(known.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/", response_class=HTMLResponse)
async def root(request: Request, house: InHouse, owner: Owner) -> str:
    """That it runs; to whoever may know, also what is loaded and where everything is."""
    base = str(request.base_url).rstrip("/")
    rows = "".join(
        f"<tr><td>{s.role}<td>{html.escape(model_id(s))}<td>{html.escape(s.licence or '–')}"
        for s in house.loaded
        if owner
    )
    table = f"<table><tr><th>role</th><th>model</th><th>licence</th></tr>{rows}</table>" if rows else ""
    address = html.escape(base)
    socket = html.escape(base.replace("http", "ws", 1))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>快美 kuaimei</title>
<style>body{{font:16px/1.6 system-ui;max-width:44rem;margin:3rem auto;padding:0 1rem}}
td,th{{text-align:left;padding:0 1.5rem 0 0}}</style>
<h1>快美 kuaimei {html.escape(__version__)}</h1>
<p>It runs.</p>{table}
<p>OpenAI dialect: <code>{address}/v1</code><br>Realtime: <code>{socket}/v1/realtime</code><br>
Sessions: <code>{address}/api/sessions</code><br>Metrics: <code>{address}/metrics</code></p>
"""
