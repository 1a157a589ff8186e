"""Server-sent events in the format of the OpenAI API."""

import json
from typing import Any

from kuaimei.errors import KuaimeiError
from kuaimei.http.errors import error_body, with_status
from kuaimei.text.wellformed import to_well_formed

__all__ = ["DONE", "MEDIA_TYPE", "event", "failure"]

MEDIA_TYPE = "text/event-stream"
DONE = "data: [DONE]\n\n"


def event(data: dict[str, Any]) -> str:
    """Format ``data`` as one event."""
    return f"data: {to_well_formed(json.dumps(data, ensure_ascii=False))}\n\n"


def failure(error: KuaimeiError) -> str:
    """Format an error that occurred after the stream had begun, in the form that OpenAI clients expect."""
    told = with_status(error)
    return event(error_body(str(told), told.status, code=told.code, param=told.param))
