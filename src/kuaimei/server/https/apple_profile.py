"""Configuration profile with which iPhones, iPads and Macs install a certificate authority."""

import plistlib
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from cryptography.hazmat.primitives.serialization import Encoding

from kuaimei.server.https.authority import Authority

__all__ = ["profile_of"]

_DESCRIPTION: Final = "Lets this device trust the kuaimei server on your network."
_IDENTIFIER: Final = "kuaimei.certificate-authority"


def profile_of(authority: Authority) -> bytes:
    """Return the profile as an XML property list; it depends on the authority only, so it installs once."""
    fingerprint = authority.fingerprint()
    common = {"PayloadVersion": 1, "PayloadOrganization": "快美 kuaimei"}
    root = {
        **common,
        "PayloadType": "com.apple.security.root",
        "PayloadIdentifier": f"{_IDENTIFIER}.root",
        "PayloadUUID": _uuid(f"{fingerprint}/root"),
        "PayloadDisplayName": "快美 kuaimei",
        "PayloadDescription": _DESCRIPTION,
        "PayloadCertificateFileName": "kuaimei.crt",
        "PayloadContent": authority.certificate.public_bytes(Encoding.DER),
    }
    profile = {
        **common,
        "PayloadType": "Configuration",
        "PayloadIdentifier": _IDENTIFIER,
        "PayloadUUID": _uuid(fingerprint),
        "PayloadDisplayName": "快美 kuaimei",
        "PayloadDescription": f"讓這個裝置信任你網路裡的快美伺服器。 {_DESCRIPTION}",
        "PayloadRemovalDisallowed": False,
        "PayloadContent": [root],
    }
    return plistlib.dumps(profile)


def _uuid(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"kuaimei:{name}")).upper()
