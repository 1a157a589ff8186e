"""The second rendering of a reply, as clients see it."""

from dataclasses import asdict
from typing import Any

from kuaimei.store.rows import Rendering
from kuaimei.store.utterance_record import Tier

__all__ = ["hq_body", "ready_body", "rendering_url"]


def rendering_url(utterance: str, tier: Tier = "fast") -> str:
    """Where a recording can be heard."""
    path = f"/api/recordings/{utterance}/audio"
    return path if tier == "fast" else f"{path}?tier={tier}"


def hq_body(utterance: str, rendering: Rendering | None) -> dict[str, Any] | None:
    """What is known of it; None: the reply gets none. There may be audio while a newer one is being made."""
    if rendering is None:
        return None
    return {
        "state": rendering.state,
        "audio": rendering_url(utterance, "hq") if rendering.bytes else None,
        "duration_ms": rendering.duration_ms,
        "clauses": [asdict(clause) for clause in rendering.clauses],
        "voice": rendering.voice,
        "engine": rendering.engine or None,
        "error": rendering.error,
    }


def ready_body(utterance: str, rendering: Rendering) -> dict[str, Any]:
    """What a client needs to hear it in the place of the fast one."""
    return {
        "recording": utterance,
        "audio": rendering_url(utterance, "hq"),
        "duration_ms": rendering.duration_ms,
        "clauses": [asdict(clause) for clause in rendering.clauses],
    }
