"""JSON responses built in a thread, so that long ones do not block the event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

__all__ = ["in_json"]


async def in_json(make: Callable[[], Any]) -> Response:
    """Return the result of ``make`` as a JSON response.

    Args:
        make: Builds the body, in a thread; dataclasses and datetimes are serialized.
    """
    data = await asyncio.to_thread(lambda: to_json(make(), inf_nan_mode="null"))
    return Response(data, media_type="application/json")
