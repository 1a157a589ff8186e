"""JSON views of the high-quality (HQ) renderings of replies."""

from dataclasses import asdict
from typing import Any

from kuaimei.store.rows import Rendering
from kuaimei.store.utterance_record import Tier

__all__ = ["hq_body", "ready_body", "rendering_url"]


def rendering_url(utterance: str, tier: Tier = "fast") -> str:
    """Return the URL of a recording's audio."""
    path = f"/api/recordings/{utterance}/audio"
    return path if tier == "fast" else f"{path}?tier={tier}"


def hq_body(utterance: str, rendering: Rendering | None) -> dict[str, Any] | None:
    """Return the JSON body of an HQ rendering; None if the reply has none.

    ``audio`` may be set while a newer rendering is being made.
    """
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
    """Return what a client needs to play the HQ rendering in place of the fast one."""
    return {
        "recording": utterance,
        "audio": rendering_url(utterance, "hq"),
        "duration_ms": rendering.duration_ms,
        "clauses": [asdict(clause) for clause in rendering.clauses],
    }
