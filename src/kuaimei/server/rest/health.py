"""``/healthz``, ``/readyz``, ``/metrics``."""

import asyncio

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from kuaimei.errors import KuaimeiError
from kuaimei.server.metrics import Metrics
from kuaimei.server.readiness import Readiness
from kuaimei.server.rest.common import InHouse, Operator

__all__ = ["router"]

router = APIRouter()

_STORE_S = 3.0


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """It runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """It can take a conversation; at most two seconds old."""
    readiness: Readiness = request.app.state.readiness
    checks = await readiness.checks()
    ready = checks["store"] != "unavailable"
    body = {"status": "ready" if ready else "not ready", "checks": checks}
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/metrics")
async def metrics(request: Request, house: InHouse, operator: Operator) -> Response:
    """In the text form of Prometheus."""
    known: Metrics = request.app.state.metrics
    if house.store is not None:
        try:
            async with asyncio.timeout(_STORE_S):
                known.store.update(await house.store.statistics())
        except (KuaimeiError, TimeoutError):
            known.store.update(None)
    if house.analysis is not None:
        try:
            async with asyncio.timeout(_STORE_S):
                known.unanalysed(await house.analysis.waiting())
        except (KuaimeiError, TimeoutError):
            known.unanalysed(None)
    return Response(generate_latest(known.registry), media_type=CONTENT_TYPE_LATEST)
