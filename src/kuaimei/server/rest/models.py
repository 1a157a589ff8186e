"""``/v1/models``: the model names that requests may use."""

from typing import Any

from fastapi import APIRouter

from kuaimei.http.errors import ApiError
from kuaimei.server.model_names import models_for
from kuaimei.server.rest.dependencies import RuntimeDep

__all__ = ["router"]

router = APIRouter()


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "kuaimei"}


@router.get("/v1/models")
async def list_models(runtime: RuntimeDep) -> dict[str, Any]:
    """List the names that requests may give as ``model``."""
    return {"object": "list", "data": [_model(name) for name in models_for(runtime)]}


@router.get("/v1/models/{name}")
async def get_model(name: str, runtime: RuntimeDep) -> dict[str, Any]:
    """Return one model; 404 ``model_not_found`` if it is unknown."""
    if name not in models_for(runtime):
        told = f"unknown model {name[:80]!r}; see /v1/models"
        raise ApiError(told, status=404, code="model_not_found", param="model")
    return _model(name)
