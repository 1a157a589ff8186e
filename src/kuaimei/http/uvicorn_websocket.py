"""uvicorn's WebSocket, which is still the connection that it was before, and survives its own end."""

from collections.abc import Callable

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

__all__ = ["CountedWebSocket"]


class CountedWebSocket(WebSocketsSansIOProtocol):
    """One connection, after its upgrade.

    Attributes:
        leave: To be called when it is gone.
    """

    leave: Callable[[], None]

    def data_received(self, data: bytes) -> None:
        """More of it; what comes after it was told goodbye (a ping, say) is not answered any more."""
        try:
            super().data_received(data)
        except InvalidState:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        super().connection_lost(exc)
        leave = getattr(self, "leave", None)
        if leave is not None:  # None: it went during the upgrade
            leave()
