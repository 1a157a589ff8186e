"""``/api/voices``: which there are, and how they sound."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from kuaimei.errors import NotFound
from kuaimei.server.rest.common import InHouse
from kuaimei.server.samples import Samples, language_of

__all__ = ["router", "voice_bodies"]

router = APIRouter(prefix="/api/voices")


def voice_bodies(voices: Sequence[str]) -> list[dict[str, Any]]:
    """The voices as clients see them; ``language`` is a guess, null where there is none."""
    return [
        {
            "object": "kuaimei.voice",
            "id": voice,
            "name": voice,
            "language": language_of(voice) or None,
            "sample": f"/api/voices/{quote(voice, safe='')}/sample",
        }
        for voice in voices
    ]


@router.get("")
async def list_voices(house: InHouse) -> dict[str, Any]:
    """All of them; the first is the synthesiser's own choice."""
    return {"object": "list", "data": voice_bodies(house.engines.synthesizer.voices)}


@router.get("/{voice}/sample")
async def get_sample(voice: str, request: Request, house: InHouse) -> Response:
    """A sentence in that voice, as MP3; made when it is asked for the first time."""
    if voice not in house.engines.synthesizer.voices:
        raise NotFound(f"no voice is called {voice[:80]!r}; see /api/voices")
    samples: Samples = request.app.state.samples
    headers = {"Cache-Control": "private, max-age=86400"}
    return Response(await samples.sample(voice), media_type="audio/mpeg", headers=headers)
