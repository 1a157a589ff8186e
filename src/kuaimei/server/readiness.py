"""Readiness check: unauthenticated and called at any rate, so its result is cached."""

import asyncio
from typing import Any, Final

from kuaimei.errors import KuaimeiError
from kuaimei.server.protocols import ConversationStore
from kuaimei.store.rows import Health

__all__ = ["Readiness"]

_FRESH_S: Final = 2.0
_STORE_S: Final = 3.0


class Readiness:
    """Checks the store, at most once in two seconds for all callers.

    Args:
        store: None: nothing is stored, so nothing can be unavailable.
    """

    def __init__(self, store: ConversationStore | None) -> None:
        self._store = store
        self._found: asyncio.Task[Health | None] | None = None
        self._until = 0.0

    async def checks(self) -> dict[str, Any]:
        """Return the state of engines and store (``ok``, ``off``, ``unavailable``) and known disk usage."""
        if self._store is None:
            return {"engines": "ok", "store": "off"}
        loop = asyncio.get_running_loop()
        if self._found is None or (self._found.done() and loop.time() >= self._until):
            self._found = asyncio.ensure_future(self._ask(self._store))
        health = await asyncio.shield(self._found)  # other callers wait for the same result
        if health is None:
            return {"engines": "ok", "store": "unavailable"}
        return {"engines": "ok", "store": "ok" if health.ok else "unavailable", "disk": health.disk}

    async def _ask(self, store: ConversationStore) -> Health | None:
        try:
            async with asyncio.timeout(_STORE_S):
                return await store.health()
        except (KuaimeiError, TimeoutError):
            return None
        finally:
            self._until = asyncio.get_running_loop().time() + _FRESH_S
