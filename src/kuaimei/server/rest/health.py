"""``/healthz``, ``/readyz`` and ``/metrics``: liveness, readiness and Prometheus metrics."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from kuaimei.errors import KuaimeiError
from kuaimei.server.metrics import Metrics
from kuaimei.server.readiness import Readiness
from kuaimei.server.rest.dependencies import Operator, RuntimeDep

__all__ = ["router"]

router = APIRouter()

_STORE_S = 3.0
_NEEDED = frozenset({"jobs", "keeping"})
"""Background tasks (of `kuaimei.runtime`) whose failure makes the server not ready."""


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Return 200 while the process is running (liveness)."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request, runtime: RuntimeDep) -> JSONResponse:
    """Return 200 if the server can take a conversation, otherwise 503 (readiness).

    Engines are warm before the server opens, so the store decides. The server is also not ready if the
    background tasks that run jobs and deletions fail. Other failing background tasks are listed under
    ``failing``; conversations continue, as they do when the disk is ``low``, or so ``full`` that audio is no
    longer recorded. The store's state is at most two seconds old.
    """
    readiness: Readiness = request.app.state.readiness
    failing = sorted(runtime.tasks.failing)
    stopped = any(task in _NEEDED for task in failing)
    checks = {
        **await readiness.checks(),
        "tasks": "unavailable" if stopped else "degraded" if failing else "ok",
    }
    ready = "unavailable" not in checks.values()
    body: dict[str, Any] = {"status": "ready" if ready else "not ready", "checks": checks}
    if failing:
        body["failing"] = failing
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/metrics")
async def metrics(request: Request, runtime: RuntimeDep, operator: Operator) -> Response:
    """Return metrics in the Prometheus text format; operators only."""
    known: Metrics = request.app.state.metrics
    if runtime.store is not None:
        try:
            async with asyncio.timeout(_STORE_S):
                known.store.update(await runtime.store.statistics())
        except (KuaimeiError, TimeoutError):
            known.store.update(None)
    if runtime.analysis is not None:
        try:
            async with asyncio.timeout(_STORE_S):
                known.analysis_backlog(await runtime.analysis.waiting())
        except (KuaimeiError, TimeoutError):
            known.analysis_backlog(None)
    return Response(generate_latest(known.registry), media_type=CONTENT_TYPE_LATEST)
