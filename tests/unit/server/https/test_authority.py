"""The certificate authority of the server: made once, for its owner's eyes, and only for private names."""

import ipaddress
import os
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from kuaimei.errors import SettingsError
from kuaimei.server.https.authority import Authority, certificate_of, key_of, open_authority
from kuaimei.server.https.hostnames import Names

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
NAMES = Names(("box.local", "box", "voice.lan"), (ipaddress.IPv4Address("192.168.1.20"),))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path / "https", NAMES, NOW)


def _verify(authority: Authority, pem: bytes, subject: x509.verification.Subject, at: datetime = NOW) -> None:
    """As clients do it, by another implementation than the one that issued it."""
    store = Store([authority.certificate])
    PolicyBuilder().store(store).time(at).build_server_verifier(subject).verify(certificate_of(pem), [])


def test_it_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = open_authority(tmp_path / "https", NAMES, NOW)
    finally:
        os.umask(before)
    again = open_authority(tmp_path / "https", NAMES, NOW + timedelta(days=900))
    assert again.certificate == made.certificate
    assert [file.name for file in (tmp_path / "https").iterdir()] == ["authority.pem"]
    for path, mode in ((tmp_path / "https", 0o700), (tmp_path / "https" / "authority.pem", 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_what_others_could_read_is_closed_and_said(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "https").chmod(0o755)
    (tmp_path / "https" / "authority.pem").chmod(0o644)
    open_authority(tmp_path / "https", NAMES, NOW)
    assert stat.S_IMODE((tmp_path / "https").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "https" / "authority.pem").stat().st_mode) == 0o600
    assert caplog.text.count("accessible to other accounts") == 2


def test_of_several_that_begin_at_once_all_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: open_authority(tmp_path / "https", NAMES, NOW), range(8)))
    assert len({one.certificate for one in made}) == 1
    assert [file.name for file in (tmp_path / "https").iterdir()] == ["authority.pem"]


def test_its_certificate_is_one_of_an_authority_for_ten_years(authority: Authority) -> None:
    certificate = authority.certificate
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert certificate.not_valid_after_utc == NOW + timedelta(days=3650)
    assert isinstance(authority.key.curve, ec.SECP256R1)
    assert "box" not in certificate.subject.rfc4514_string()
    assert len(authority.fingerprint().split(":")) == 32


def test_what_it_issues_is_accepted_for_each_name_and_no_other(authority: Authority) -> None:
    pem = authority.issue(NAMES, NOW)
    for host in NAMES.hosts:
        _verify(authority, pem, x509.DNSName(host))
    for address in NAMES.addresses:
        _verify(authority, pem, x509.IPAddress(address))
    with pytest.raises(VerificationError):
        _verify(authority, pem, x509.DNSName("other.local"))


def test_a_server_certificate_is_short_lived_and_has_a_key_of_its_own(authority: Authority) -> None:
    pem = authority.issue(NAMES, NOW)
    certificate = certificate_of(pem)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < timedelta(days=397)
    assert certificate.not_valid_before_utc < NOW
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert key_of(pem).public_key() == certificate.public_key()
    assert key_of(authority.issue(NAMES, NOW)).public_key() != certificate.public_key()
    with pytest.raises(VerificationError):
        _verify(authority, pem, x509.DNSName("box"), NOW + timedelta(days=397))


def test_it_cannot_pass_for_a_site_of_the_internet(authority: Authority, tmp_path: Path) -> None:
    for foreign in ("bank.example.com", "notlocal", "local.com", "8.8.8.8", "2001:db8::1"):
        try:
            name: str | ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(foreign)
        except ValueError:
            name = foreign
        assert not authority.permits(name), foreign
    # Somebody who has stolen the key leaves the check out; clients do not.
    stolen = authority.issue(Names(("bank.example.com",), ()), NOW)
    with pytest.raises(VerificationError):
        _verify(authority, stolen, x509.DNSName("bank.example.com"))
    now = datetime.now(UTC)
    authority = open_authority(tmp_path / "now", NAMES, now)  # OpenSSL asks no test for the time
    assert _openssl_accepts(authority, authority.issue(NAMES, now), tmp_path, "box.local")
    stolen = authority.issue(Names(("box.com",), ()), now)
    assert not _openssl_accepts(authority, stolen, tmp_path, "box.com")


def _openssl_accepts(authority: Authority, pem: bytes, folder: Path, host: str) -> bool:
    """Whether a handshake in memory with Python's OpenSSL comes to its end."""
    client = ssl.create_default_context(cadata=authority.certificate.public_bytes(Encoding.PEM).decode())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = folder / "shown.pem"
    path.write_bytes(pem)
    server.load_cert_chain(path)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        done = 0
        for side in (near, far):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
        if done == 2:
            return True
    return False


def test_public_addresses_of_the_machine_itself_are_permitted(tmp_path: Path) -> None:
    public = ipaddress.IPv4Address("203.0.113.7")
    authority = open_authority(tmp_path / "https", Names(("box",), (public,)), NOW)
    assert authority.permits(public)
    assert not authority.permits(ipaddress.IPv4Address("203.0.113.8"))
    _verify(authority, authority.issue(Names((), (public,)), NOW), x509.IPAddress(public))


def test_what_it_may_not_vouch_for_is_left_out(authority: Authority) -> None:
    wanted = Names(("box.local", "new.example.com"), (ipaddress.IPv6Address("2001:db8::7"),))
    assert authority.permitted(wanted) == Names(("box.local",), ())


def test_one_that_has_expired_or_is_damaged_says_what_to_do(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expired"):
        authority.issue(NAMES, NOW + timedelta(days=3650))
    last = certificate_of(authority.issue(NAMES, NOW + timedelta(days=3600)))
    assert last.not_valid_after_utc == authority.certificate.not_valid_after_utc
    (tmp_path / "https" / "authority.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nno\n")
    with pytest.raises(SettingsError, match="restore it from a backup"):
        open_authority(tmp_path / "https", NAMES, NOW)
