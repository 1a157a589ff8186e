"""Answers that are put together in a thread: what is long must not keep the event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

__all__ = ["in_json"]


async def in_json(make: Callable[[], Any]) -> Response:
    """What ``make`` gives (called in a thread), as JSON.

    Args:
        make: Puts it together; dataclasses and times are written as they are.
    """
    data = await asyncio.to_thread(lambda: to_json(make(), inf_nan_mode="null"))
    return Response(data, media_type="application/json")
