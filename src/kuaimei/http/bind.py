"""Where a server listens, and who decides when it stops."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from kuaimei.errors import SettingsError
from kuaimei.settings import ServerSettings

__all__ = ["ManagedServer", "address_of", "bind_socket"]


class ManagedServer(uvicorn.Server):
    """Signals are the command's business: what is behind the server has to be closed as well."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them as they are."""
        yield


def bind_socket(server: ServerSettings) -> socket.socket:
    """A socket on which connections may queue already.

    Raises:
        SettingsError: If the address cannot be had.
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
    """``http://host:port``, as it really is."""
    host, port, *_ = listening.getsockname()
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
