"""Whether a conversation could begin now: asked by strangers as often as they like, found out seldom."""

import asyncio
from typing import Any, Final

from kuaimei.errors import KuaimeiError
from kuaimei.server.services import ConversationStore
from kuaimei.store.rows import Health

__all__ = ["Readiness"]

_FRESH_S: Final = 2.0
_STORE_S: Final = 3.0


class Readiness:
    """Asks the store, once for everybody who wants to know within two seconds.

    Args:
        store: None: nothing is kept, so nothing can be in the way.
    """

    def __init__(self, store: ConversationStore | None) -> None:
        self._store = store
        self._found: asyncio.Task[Health | None] | None = None
        self._until = 0.0

    async def checks(self) -> dict[str, Any]:
        """Engines and store: ``ok``, ``off`` or ``unavailable``; and how full the disk is, if known."""
        if self._store is None:
            return {"engines": "ok", "store": "off"}
        loop = asyncio.get_running_loop()
        if self._found is None or (self._found.done() and loop.time() >= self._until):
            self._found = asyncio.ensure_future(self._ask(self._store))
        health = await asyncio.shield(self._found)  # others wait for the same answer
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
