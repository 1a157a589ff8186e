"""uvicorn's WebSocket protocol, which unregisters its connection and tolerates data after its close."""

from collections.abc import Callable

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

__all__ = ["CountedWebSocket"]


class CountedWebSocket(WebSocketsSansIOProtocol):
    """One connection after its upgrade.

    Attributes:
        leave: Called when the connection is lost.
    """

    leave: Callable[[], None]

    def data_received(self, data: bytes) -> None:
        """Process data; what arrives after the close frame (a ping, say) is not answered."""
        try:
            super().data_received(data)
        except InvalidState:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection."""
        super().connection_lost(exc)
        leave = getattr(self, "leave", None)
        if leave is not None:  # None: it was lost during the upgrade
            leave()
