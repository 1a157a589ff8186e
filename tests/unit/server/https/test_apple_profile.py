"""The profile by which Apple's devices install the authority."""

import plistlib
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from kuaimei.server.https.apple_profile import profile_of
from kuaimei.server.https.authority import open_authority
from kuaimei.server.https.hostnames import Names

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def test_it_holds_the_certificate_and_no_key(tmp_path: Path) -> None:
    authority = open_authority(tmp_path / "https", Names((), ()), NOW)
    given = profile_of(authority)
    profile = plistlib.loads(given)
    assert profile["PayloadType"] == "Configuration"
    (root,) = profile["PayloadContent"]
    assert root["PayloadType"] == "com.apple.security.root"
    assert x509.load_der_x509_certificate(root["PayloadContent"]) == authority.certificate
    assert b"PRIVATE" not in given
    assert root["PayloadUUID"] != profile["PayloadUUID"]
    assert profile_of(authority) == given  # installed again it takes the place of itself
    other = open_authority(tmp_path / "other", Names((), ()), NOW)
    assert plistlib.loads(profile_of(other))["PayloadUUID"] != profile["PayloadUUID"]
