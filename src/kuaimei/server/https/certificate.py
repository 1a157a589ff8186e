"""The server's certificate: stored, and renewed before it expires or when addresses change."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from kuaimei.server.https.authority import Authority, certificate_of, key_of, open_authority
from kuaimei.server.https.hostnames import Names
from kuaimei.server.https.private_files import read_private, replace_private

__all__ = ["ServerCertificate"]

_log = logging.getLogger(__name__)

_CERTIFICATE_FILE: Final = "server.pem"
_LEFT: Final = timedelta(days=30)
"""Remaining lifetime at which it is renewed."""
_CHECK_S: Final = 3600.0
"""Seconds between checks: addresses change when a laptop changes networks, and checking is cheap."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ServerCertificate:
    """Keeps a valid certificate in ``folder`` and in ``context``.

    Open connections keep the certificate they started with; new ones get the latest.

    Args:
        folder: Of authority and certificate; created with mode 0700 if needed.
        names: Returns the names that the certificate has to cover; called at each check.
        now: Returns the current time; replaced in tests.

    Raises:
        SettingsError: If the authority cannot be read or has expired.
        OSError: If the folder cannot be written.
    """

    def __init__(
        self, folder: Path, names: Callable[[], Names], now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._path = folder / _CERTIFICATE_FILE
        self._names = names
        self._now = now
        wanted = names()
        self.authority: Authority = open_authority(folder, wanted, now())
        """Issues the certificate."""
        self.names: Names = self.authority.permitted(wanted)
        """Names that the current certificate covers."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """For the server: TLS 1.2 and newer."""
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tell_what_is_left_out(wanted)
        if not self._is_good(self._kept(), self.names):
            self._make(self.names)
        self._load()

    async def tend(self) -> None:
        """Renew the certificate whenever needed; runs until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_S)
            await self.renew()

    async def renew(self) -> bool:
        """Renew the certificate if it expires soon or lacks a name; return whether it was renewed.

        Raises:
            SettingsError: If the authority has expired.
            OSError: If it cannot be written.
        """
        changed = await asyncio.to_thread(self._make_if_needed)
        if changed:
            # On the event loop, so that no handshake happens between loading certificate and key.
            self._load()
            _log.info("the server's certificate was renewed")
        return changed

    def _make_if_needed(self) -> bool:
        names = self.authority.permitted(self._names())
        if self._is_good(self._kept(), names):
            return False
        self._make(names)
        self.names = names
        return True

    def _kept(self) -> bytes:
        return read_private(self._path) if self._path.exists() else b""

    def _is_good(self, pem: bytes, names: Names) -> bool:
        try:
            certificate = certificate_of(pem)
            certificate.verify_directly_issued_by(self.authority.certificate)
            if key_of(pem).public_key() != certificate.public_key():
                return False
            vouched = _vouched(certificate)
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False  # missing, damaged, or issued by another authority
        now = self._now()
        in_time = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - self._spare()
        return in_time and vouched.covers(names)

    def _spare(self) -> timedelta:
        """Return the lifetime to spare; zero if the authority itself ends soon, as renewing gains nothing."""
        left = self.authority.certificate.not_valid_after_utc - self._now()
        return _LEFT if left > 2 * _LEFT else timedelta()

    def _make(self, names: Names) -> None:
        replace_private(self._path, self.authority.issue(names, self._now()))

    def _load(self) -> None:
        self.context.load_cert_chain(self._path)

    def _tell_what_is_left_out(self, wanted: Names) -> None:
        left_out = [host for host in wanted.hosts if host not in self.names.hosts]
        if left_out:
            _log.warning(
                "the certificate does not cover %s: this server's certificate authority was created without "
                "these names; remove the folder %s to create a new one, which every device has to install",
                ", ".join(left_out),
                self._path.parent,
            )


def _vouched(certificate: x509.Certificate) -> Names:
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return Names(
        tuple(alternatives.get_values_for_type(x509.DNSName)),
        tuple(one for one in addresses if isinstance(one, IPv4Address | IPv6Address)),
    )
