"""Server-sent events, as the OpenAI dialect streams."""

import json
from typing import Any

from kuaimei.errors import KuaimeiError
from kuaimei.http.errors import error_body, with_status
from kuaimei.text.wellformed import to_well_formed

__all__ = ["DONE", "MEDIA_TYPE", "event", "failure"]

MEDIA_TYPE = "text/event-stream"
DONE = "data: [DONE]\n\n"


def event(data: dict[str, Any]) -> str:
    """One event."""
    return f"data: {to_well_formed(json.dumps(data, ensure_ascii=False))}\n\n"


def failure(error: KuaimeiError) -> str:
    """What went wrong after the stream had begun, in the form in which clients expect it."""
    told = with_status(error)
    return event(error_body(str(told), told.status, code=told.code, param=told.param))
