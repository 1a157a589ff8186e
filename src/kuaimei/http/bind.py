"""The listening socket, and a uvicorn server that leaves signals to the CLI."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from kuaimei.errors import SettingsError
from kuaimei.settings import ServerSettings

__all__ = ["ManagedServer", "address_of", "bind_socket"]


class ManagedServer(uvicorn.Server):
    """uvicorn server without signal handlers: the CLI handles signals and shuts down the engines, too."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers as they are."""
        yield


def bind_socket(server: ServerSettings) -> socket.socket:
    """Return a listening socket, on which connections can queue already.

    Raises:
        SettingsError: If the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        return socket.create_server((server.host, server.port), family=family, backlog=128)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {server.host} port {server.port} ({error.strerror}): "
            "choose another with --port, or stop what is using it"
        ) from None


def address_of(listening: socket.socket, scheme: str = "http") -> str:
    """Return the actual address of the socket, as ``http://host:port``."""
    host, port, *_ = listening.getsockname()
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
