"""Errors as OpenAI error objects: ``{"error": {message, type, code, param}}``."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from kuaimei.errors import (
    AudioError,
    Conflict,
    EngineError,
    EngineUnavailable,
    KuaimeiError,
    NotAllowed,
    NotFound,
    QueueFull,
    StoreError,
    Unstorable,
)
from kuaimei.http.error_fields import mistake
from kuaimei.text.wellformed import to_well_formed

__all__ = ["ApiError", "error_body", "install_error_handlers", "response_of", "with_status"]

_log = logging.getLogger(__name__)


class ApiError(KuaimeiError):
    """A request that cannot be served, with what the client needs to correct it.

    Args:
        message: One clear sentence.
        status: HTTP status.
        code: Short machine-readable label.
        param: The parameter at fault.
        headers: Additional headers of the response.
    """

    kind = "request"

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "invalid_value",
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


def error_body(
    message: str, status: int, *, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """Return the error object of the OpenAI API.

    Args:
        message: One clear sentence.
        status: HTTP status.
        code: Short machine-readable label.
        param: The parameter at fault.
    """
    kind = "server_error" if status >= 500 else "invalid_request_error"
    message, param = to_well_formed(message), param and to_well_formed(param)
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


def with_status(error: KuaimeiError) -> ApiError:
    """Convert a deliberate error to an `ApiError` with its HTTP status."""
    if isinstance(error, ApiError):
        return error
    status, headers = 500, {}
    if isinstance(error, AudioError | Unstorable):
        status = 400
    elif isinstance(error, NotFound):
        status = 404
    elif isinstance(error, NotAllowed):
        status = 403
    elif isinstance(error, Conflict):
        status = 409
    elif isinstance(error, QueueFull):
        status, headers = 503, {"Retry-After": "1"}
    elif isinstance(error, EngineUnavailable | StoreError):
        status, headers = 503, {"Retry-After": "5"}
    elif isinstance(error, EngineError):
        status = 502
    return ApiError(str(error), status=status, code=error.kind, headers=headers)


def response_of(error: KuaimeiError) -> JSONResponse:
    """Return the complete response for ``error``."""
    told = with_status(error)
    body = error_body(str(told), told.status, code=told.code, param=told.param)
    return JSONResponse(body, status_code=told.status, headers=told.headers)


def install_error_handlers(app: FastAPI) -> None:
    """Return every error of ``app`` in the same form, including validation errors and unknown paths."""

    @app.exception_handler(KuaimeiError)
    async def _deliberate(request: Request, error: KuaimeiError) -> JSONResponse:
        metrics = getattr(request.app.state, "metrics", None)
        if metrics is not None:
            metrics.failed("rest", error.kind)
        return response_of(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        # "body.input" is "input" in the terms of the OpenAI documentation
        names, told = mistake(first, error.body if first["loc"][0] == "body" else None, skip=1)
        param = ".".join(names) or None
        message = f"{param}: {told}" if param else told
        return JSONResponse(error_body(message, 400, code="invalid_value", param=param), status_code=400)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        message = str(error.detail)
        if error.status_code == 404:
            message = f"there is nothing at {request.url.path}"
        body = error_body(message, error.status_code, code=code)
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
        # Its message may hold paths or secrets: it goes to the log, not to the client.
        body = error_body("internal server error; see the server's log", 500, code="internal_error")
        return JSONResponse(body, status_code=500)
