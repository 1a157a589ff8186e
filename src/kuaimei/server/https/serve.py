"""HTTPS service: the current certificate, and the page that gives devices its authority."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.types import ASGIApp

from kuaimei.errors import SettingsError
from kuaimei.http.bind import bind_socket
from kuaimei.server.https.certificate import ServerCertificate
from kuaimei.server.https.certificate_page import certificate_page
from kuaimei.server.https.hostnames import names_of
from kuaimei.server.serve import make_server
from kuaimei.settings import ServerSettings, Settings, is_loopback
from kuaimei.system.supervision import Supervisor

__all__ = ["Https", "open_https", "with_own_names"]

_FOLDER: Final = "https"
_PAGES_TOLD: Final = 4
_HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Https:
    """TLS context and addresses of a server with HTTPS.

    Attributes:
        context: For the server.
        addresses: URLs of the server, the best first.
        pages: URLs of the page with the certificate, the best first; empty: there is none.
        fingerprint: SHA-256 of the authority's certificate, for users to compare.
        tasks: Supervisor of the background tasks.
    """

    context: ssl.SSLContext
    addresses: tuple[str, ...]
    pages: tuple[str, ...]
    fingerprint: str
    tasks: Supervisor

    def announcement(self) -> str:
        """Return a few lines that tell users how to make a phone trust this server."""
        lines = [f"  https     {address}" for address in self.addresses]
        if self.pages:
            # By name and by address: not every phone resolves names of the local network.
            pages = " or ".join([page for page in self.pages if "[" not in page][:_PAGES_TOLD])
            lines.append(f"  phones    install the certificate once on each device: {pages}")
            lines.append(f"            its SHA-256 fingerprint has to be {self.fingerprint}")
        return "\n".join(lines)


def with_own_names(settings: Settings) -> Settings:
    """Return ``settings`` that also allow the host names of the server's certificate."""
    server = settings.server
    if not server.https or is_loopback(server.host):
        return settings
    names = dict.fromkeys((*server.allowed_hosts, *names_of(server).hosts))
    return settings.model_copy(update={"server": server.model_copy(update={"allowed_hosts": tuple(names)})})


@asynccontextmanager
async def open_https(settings: Settings, listening: socket.socket) -> AsyncIterator[Https]:
    """Provide a valid certificate and serve the page with its authority, for the length of the block.

    Args:
        settings: The settings.
        listening: Socket of the server itself.

    Raises:
        SettingsError: If there can be no certificate, or the second port is not available.
    """
    server = settings.server
    port: int = listening.getsockname()[1]
    try:
        certificate = await asyncio.to_thread(
            ServerCertificate, settings.home / _FOLDER, lambda: names_of(server)
        )
    except OSError as error:
        raise SettingsError(
            f"the certificate cannot be stored in {settings.home / _FOLDER} ({error.strerror}): make the "
            "data folder writable, or serve without --https"
        ) from None
    with _second_socket(server, port) as second:
        async with Supervisor() as background:
            background.start("renewing the certificate", certificate.tend)
            pages: tuple[str, ...] = ()
            if second is not None:
                pages = tuple(_addresses("http", certificate, server, second.getsockname()[1]))
                app = certificate_page(
                    certificate.authority, lambda: _addresses("https", certificate, server, port)
                )
                background.start("the certificate page", partial(_serve, app, server, second))
            yield Https(
                certificate.context,
                tuple(_addresses("https", certificate, server, port)),
                pages,
                certificate.authority.fingerprint(),
                background,
            )


async def _serve(app: ASGIApp, settings: ServerSettings, listening: socket.socket) -> None:
    """Serve ``app`` until cancelled, on a copy of the socket, so that it can be restarted after a failure."""
    server = make_server(app, settings)
    serving = asyncio.ensure_future(server.serve(sockets=[listening.dup()]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving


@contextmanager
def _second_socket(server: ServerSettings, port: int) -> Iterator[socket.socket | None]:
    if server.certificate_port == 0:
        yield None
        return
    wanted = server.certificate_port
    if wanted < 0:
        wanted = 0 if server.port == 0 else port + 1
    try:
        if wanted > _HIGHEST_PORT:
            raise SettingsError(f"{wanted} is not a valid port")
        second = bind_socket(server.model_copy(update={"port": wanted}))
    except SettingsError as error:
        raise SettingsError(
            f"the page for installing the certificate cannot be served on port {wanted} "
            f"({str(error).partition(':')[0]}): choose another with KUAIMEI_SERVER__CERTIFICATE_PORT, or 0 "
            "for none"
        ) from None
    with second:
        yield second


def _addresses(scheme: str, certificate: ServerCertificate, server: ServerSettings, port: int) -> list[str]:
    """Return URLs for other devices of a server on ``port``; names first, as addresses change."""
    names = certificate.names
    hosts = [host for host in names.hosts if host != "localhost"]
    hosts += [str(one) for one in names.addresses if one.version == 4 and not one.is_loopback]
    hosts += [f"[{one}]" for one in names.addresses if one.version == 6 and not one.is_loopback]
    if is_loopback(server.host) or not hosts:
        hosts.insert(0, "localhost")
    usual = {"http": 80, "https": 443}[scheme]
    return [f"{scheme}://{host}" + ("" if port == usual else f":{port}") for host in hosts]
