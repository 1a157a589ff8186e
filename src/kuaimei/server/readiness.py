"""Whether a conversation could begin now: asked by strangers as often as they like, found out seldom."""

import asyncio
from typing import Any, Final

from kuaimei.errors import KuaimeiError
from kuaimei.server.house import Archive

__all__ = ["Readiness"]

_FRESH_S: Final = 2.0
_STORE_S: Final = 3.0


class Readiness:
    """Asks the store, once for everybody who wants to know within two seconds.

    Args:
        store: None: nothing is kept, so nothing can be in the way.
    """

    def __init__(self, store: Archive | None) -> None:
        self._store = store
        self._found: asyncio.Task[bool] | None = None
        self._until = 0.0

    async def checks(self) -> dict[str, Any]:
        """Each part by name: ``ok``, ``off`` or ``unavailable``; engines are warm before the server opens."""
        if self._store is None:
            return {"engines": "ok", "store": "off"}
        loop = asyncio.get_running_loop()
        if self._found is None or (self._found.done() and loop.time() >= self._until):
            self._found = asyncio.ensure_future(self._ask(self._store))
        ok = await asyncio.shield(self._found)  # others wait for the same answer
        return {"engines": "ok", "store": "ok" if ok else "unavailable"}

    async def _ask(self, store: Archive) -> bool:
        try:
            async with asyncio.timeout(_STORE_S):
                return (await store.health()).ok
        except (KuaimeiError, TimeoutError):
            return False
        finally:
            self._until = asyncio.get_running_loop().time() + _FRESH_S
