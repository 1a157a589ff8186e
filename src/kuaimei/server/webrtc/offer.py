"""A client's offer (SDP): what is taken of it, and what is wrong with it."""

from aiortc.sdp import SessionDescription

from kuaimei.server.errors import ApiError

__all__ = ["OFFER_LIMIT", "checked"]

OFFER_LIMIT = 64 * 1024
"""Bytes."""
_LINES = ("a=end-of-candidates",)


def checked(sdp: str) -> str:
    """``sdp``, if a call can come of it.

    Candidates under names of the local network (``….local``, mDNS) are left out: nobody is asked for
    their addresses, and the client's own checks make its address known. For the same reason the list of
    candidates never counts as complete.

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
    kept = [line for line in sdp.splitlines() if not _left_out(line)]
    return "\r\n".join(kept) + "\r\n"


def _left_out(line: str) -> bool:
    if line.startswith("a=candidate:"):
        parts = line.split()
        return len(parts) > 4 and parts[4].lower().endswith(".local")
    return line.strip() in _LINES


def _wrong(what: str) -> ApiError:
    return ApiError(f"no call can come of this SDP offer: {what}", code="invalid_sdp", param="sdp")
