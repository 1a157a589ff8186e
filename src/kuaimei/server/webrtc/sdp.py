"""Validation and filtering of a client's SDP offer."""

import ipaddress

from aiortc.sdp import SessionDescription

from kuaimei.http.errors import ApiError

__all__ = ["OFFER_LIMIT", "validate_offer"]

OFFER_LIMIT = 64 * 1024
"""Maximum characters of an offer."""
CANDIDATES_LIMIT = 32
"""Maximum candidates; browsers have some ten. Packets are sent to each."""
_LEAST_PORT = 1024
"""Lowest allowed port: system services use those below, browsers do not."""
_LINES = ("a=end-of-candidates",)


def validate_offer(sdp: str, *, loopback: bool = False) -> str:
    """Return ``sdp`` without unusable candidates.

    Candidates with host names, mainly those of the local network (``….local``, mDNS), are dropped: names are
    not resolved, and the client's own connectivity checks reveal its address. For the same reason the end of
    the list of candidates is dropped. So are candidates where no other machine can be, as the server would
    send packets wherever a client points: to itself, multicast groups or system services.

    Args:
        sdp: The offer.
        loopback: The client may be on this machine.

    Raises:
        ApiError: 400, with what is missing.
    """
    if len(sdp) > OFFER_LIMIT:
        raise _wrong(f"it is longer than {OFFER_LIMIT} characters")
    try:
        description = SessionDescription.parse(sdp)
        kinds = [media.kind for media in description.media]
        codecs = {c.mimeType.lower() for m in description.media if m.kind == "audio" for c in m.rtp.codecs}
    except Exception:  # the parser raises arbitrary exceptions on malformed text
        raise _wrong("it cannot be parsed") from None
    if kinds.count("audio") != 1:
        raise _wrong("it needs exactly one audio section")
    if kinds.count("application") != 1:
        raise _wrong("it needs a data channel: create one named oai-events before the offer")
    if len(kinds) != 2:
        raise _wrong("it may contain only audio and a data channel")
    if "audio/opus" not in codecs:
        raise _wrong("it does not offer Opus")
    if not all(media.dtls is not None and media.dtls.fingerprints for media in description.media):
        raise _wrong("a section has no certificate fingerprint")
    kept: list[str] = []
    candidates = 0
    for line in sdp.splitlines():
        if line.startswith("a=candidate:"):
            if candidates == CANDIDATES_LIMIT or not _callable(line, loopback=loopback):
                continue
            candidates += 1
        elif line.strip() in _LINES:
            continue
        kept.append(line)
    return "\r\n".join(kept) + "\r\n"


def _callable(candidate: str, *, loopback: bool) -> bool:
    """Return whether packets may be sent to the address of a ``candidate`` line (RFC 8839, 5.1)."""
    parts = candidate.split()
    if len(parts) < 6 or parts[2].lower() != "udp" or not parts[5].isdecimal():
        return False
    try:
        address = ipaddress.ip_address(parts[4])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback:
        return loopback
    nowhere = address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved
    return not nowhere and _LEAST_PORT <= int(parts[5]) < 65_536


def _wrong(what: str) -> ApiError:
    return ApiError(f"this SDP offer cannot be used: {what}", code="invalid_sdp", param="sdp")
