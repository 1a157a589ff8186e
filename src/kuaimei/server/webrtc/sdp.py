"""A client's offer (SDP): what is taken of it, and what is wrong with it."""

import ipaddress

from aiortc.sdp import SessionDescription

from kuaimei.http.errors import ApiError

__all__ = ["OFFER_LIMIT", "validate_offer"]

OFFER_LIMIT = 64 * 1024
"""Bytes."""
CANDIDATES_LIMIT = 32
"""A browser has some ten; to each of them packets are sent."""
_LEAST_PORT = 1024
"""Below are services of the system: no browser waits there for a call."""
_LINES = ("a=end-of-candidates",)


def validate_offer(sdp: str, *, loopback: bool = False) -> str:
    """``sdp``, if a call can come of it.

    Candidates under names, those of the local network (``….local``, mDNS) above all, are left out: nobody is
    asked for their addresses, and the client's own checks make its address known. For the same reason the
    list of candidates never counts as complete. So are those at which no other machine can be, for the server
    would send packets wherever a client names: itself, groups of machines, services of the system.

    Args:
        sdp: The offer.
        loopback: The client may be on this machine.

    Raises:
        ApiError: 400, saying what is missing.
    """
    if len(sdp) > OFFER_LIMIT:
        raise _wrong(f"it is longer than {OFFER_LIMIT} characters")
    try:
        description = SessionDescription.parse(sdp)
        kinds = [media.kind for media in description.media]
        codecs = {c.mimeType.lower() for m in description.media if m.kind == "audio" for c in m.rtp.codecs}
    except Exception:  # whatever a parser of foreign text may come upon
        raise _wrong("it cannot be read") from None
    if kinds.count("audio") != 1:
        raise _wrong("it needs exactly one audio section")
    if kinds.count("application") != 1:
        raise _wrong("it needs a data channel: create one, called oai-events, before the offer")
    if len(kinds) != 2:
        raise _wrong("it may hold audio and a data channel, nothing else")
    if "audio/opus" not in codecs:
        raise _wrong("it does not offer Opus")
    if not all(media.dtls is not None and media.dtls.fingerprints for media in description.media):
        raise _wrong("a section has no fingerprint of a certificate")
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
    """Whether packets may be sent to where the line ``candidate`` (RFC 8839, 5.1) says."""
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
    return ApiError(f"no call can come of this SDP offer: {what}", code="invalid_sdp", param="sdp")
