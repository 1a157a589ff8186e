"""The server's own certificate authority: created once, stored locally, installed on devices.

Its certificate is limited to private names and addresses (name constraints, RFC 5280, 4.2.1.10): a thief of
the key cannot impersonate a bank to the devices that trust it.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kuaimei.errors import SettingsError
from kuaimei.server.https.hostnames import Address, Names
from kuaimei.server.https.private_files import create_private, read_private

__all__ = ["CERTIFICATE_DAYS", "Authority", "certificate_of", "key_of", "open_authority"]

CERTIFICATE_DAYS: Final = 397
"""Maximum lifetime of a server certificate that all browsers accept."""

_AUTHORITY_FILE: Final = "authority.pem"
_AUTHORITY_DAYS: Final = 3650
_EARLY: Final = timedelta(days=1)
"""Certificates are valid from a little before they are created: the clocks of phones differ."""
_PRIVATE_DOMAINS: Final = ("localhost", "local", "lan", "home", "internal", "home.arpa", "test")
"""Domains for which no public authority issues certificates."""
_PRIVATE_NETWORKS: Final = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)


@dataclass(frozen=True, slots=True)
class Authority:
    """Issues certificates for this server.

    Attributes:
        certificate: For the devices to install.
        key: Never leaves the data folder.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def fingerprint(self, algorithm: hashes.HashAlgorithm | None = None) -> str:
        """Return the certificate's fingerprint as devices show it: pairs of hexadecimal digits.

        Args:
            algorithm: SHA-256 by default; Windows shows SHA-1.
        """
        return self.certificate.fingerprint(algorithm or hashes.SHA256()).hex(":").upper()

    def permits(self, name: str | Address) -> bool:
        """Return whether it may issue certificates for this host name or address."""
        constraints = self.certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        for permitted in constraints.permitted_subtrees or ():
            if isinstance(permitted, x509.DNSName) and isinstance(name, str):
                if name == permitted.value or name.endswith(f".{permitted.value}"):
                    return True
            elif isinstance(permitted, x509.IPAddress) and not isinstance(name, str):
                network = permitted.value
                if isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network) and name in network:
                    return True
        return False

    def permitted(self, names: Names) -> Names:
        """Return the permitted part of ``names``: any other name would invalidate the whole certificate."""
        return Names(
            tuple(host for host in names.hosts if self.permits(host)),
            tuple(address for address in names.addresses if self.permits(address)),
        )

    def issue(self, names: Names, now: datetime) -> bytes:
        """Issue a server certificate with a new key; return both as PEM.

        Args:
            names: Names and addresses of the server.
            now: Aware of its time zone.

        Raises:
            SettingsError: If the authority itself has expired.
        """
        if now >= self.certificate.not_valid_after_utc:
            raise SettingsError(
                "this server's certificate authority has expired (by this machine's clock, today is "
                f"{now:%Y-%m-%d}): if the clock is right, remove the folder https in the data folder, "
                "restart the server, and install the new certificate on every device"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        begin = now - _EARLY
        end = min(
            begin + timedelta(days=CERTIFICATE_DAYS) - timedelta(seconds=1),
            self.certificate.not_valid_after_utc,
        )
        alternatives: list[x509.GeneralName] = [x509.DNSName(host) for host in names.hosts]
        alternatives += [x509.IPAddress(address) for address in names.addresses]
        usage = _key_usage(digital_signature=True)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_named("kuaimei server"))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_authority_key(self.certificate), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return _pem(certificate, key)


def open_authority(folder: Path, names: Names, now: datetime) -> Authority:
    """Return the authority in ``folder``; create it if there is none.

    Args:
        folder: Created with mode 0700 if needed.
        names: Permitted for a new authority, in addition to everything private.
        now: Aware of its time zone.

    Raises:
        SettingsError: If the stored authority cannot be read.
    """
    path = folder / _AUTHORITY_FILE
    if not path.exists():
        create_private(path, _make(names, now))  # if another process was faster, its authority is used
    pem = read_private(path)
    try:
        return Authority(certificate_of(pem), key_of(pem))
    except ValueError as error:
        raise SettingsError(
            f"the certificate authority in {path} cannot be read ({error}): restore it from a backup, or "
            "remove the folder and install the new certificate on every device"
        ) from None


def certificate_of(pem: bytes) -> x509.Certificate:
    """Return the certificate in ``pem``.

    Raises:
        ValueError: If there is none.
    """
    return x509.load_pem_x509_certificate(pem)


def key_of(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the private key in ``pem``.

    Raises:
        ValueError: If there is none, or it is not an elliptic curve key.
    """
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("its key is not an elliptic curve key")
    return key


def _make(names: Names, now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    # Without the machine's name: every recipient of a certificate would see it.
    subject = _named(f"快美 kuaimei {now:%Y-%m-%d}")
    domains = dict.fromkeys((*_PRIVATE_DOMAINS, *names.hosts))
    networks = [ipaddress.ip_network(network) for network in _PRIVATE_NETWORKS]
    for address in names.addresses:
        if address.version == 4 and not any(address in network for network in networks):
            networks.append(ipaddress.ip_network(address))
    permitted: list[x509.GeneralName] = [x509.DNSName(domain) for domain in domains]
    permitted += [x509.IPAddress(network) for network in networks]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate, key)


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + secret


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _authority_key(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
