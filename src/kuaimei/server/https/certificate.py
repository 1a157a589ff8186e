"""The certificate that the server shows: kept, and made anew before it runs out or when addresses change."""

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
"""With so much of its life left it is made anew."""
_CHECK_S: Final = 3600.0
"""Addresses change when a laptop changes networks; finding out costs next to nothing."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ServerCertificate:
    """Keeps a valid certificate in ``folder`` and in ``context``.

    Connections that stand go on with the certificate they began with; new ones are shown the newest.

    Args:
        folder: Of authority and certificate; made with mode 0700 if need be.
        names: Asked for what the certificate has to vouch for, each time it is looked at.
        now: The time; another one in tests.

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
        """Who signs it."""
        self.names: Names = self.authority.permitted(wanted)
        """What the one in force vouches for."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """For the server: TLS 1.2 and newer."""
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tell_what_is_left_out(wanted)
        if not self._is_good(self._kept(), self.names):
            self._make(self.names)
        self._load()

    async def tend(self) -> None:
        """Until cancelled: look whether it has to be made anew, and do so."""
        while True:
            await asyncio.sleep(_CHECK_S)
            await self.renew()

    async def renew(self) -> bool:
        """Make it anew if it runs out soon, or does not vouch for all that it should; whether it was.

        Raises:
            SettingsError: If the authority has expired.
            OSError: If it cannot be written.
        """
        changed = await asyncio.to_thread(self._make_if_needed)
        if changed:
            # Between key and certificate nobody may be shown either: on the loop, nobody is.
            self._load()
            _log.info("the server's certificate was made anew")
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
            return False  # there is none, it is damaged, or another authority made it
        now = self._now()
        in_time = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - self._spare()
        return in_time and vouched.covers(names)

    def _spare(self) -> timedelta:
        """An authority that ends soon gives no longer life than its own: renewing would gain nothing."""
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
                "the certificate does not vouch for %s: this server's authority, which is older than these "
                "names, may not; remove the folder %s to have another one made, which every device has to "
                "install",
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
