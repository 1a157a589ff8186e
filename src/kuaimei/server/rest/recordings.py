"""``/api/recordings``: one utterance, and its audio, also in parts (players seek)."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header
from starlette.responses import Response

from kuaimei.audio.streams import closing
from kuaimei.errors import NotAllowed
from kuaimei.http.client_disconnect import DOWNLOAD_S, Streamed
from kuaimei.http.errors import ApiError
from kuaimei.server.allowed_voices import UsableVoices
from kuaimei.server.rest.dependencies import DELETING, Owner, RuntimeDep, StoreDep, deleted
from kuaimei.server.rest.sessions import owned_utterance, utterance_body
from kuaimei.server.services import AppRuntime
from kuaimei.store.utterance_record import Tier

__all__ = ["byte_range", "router"]

router = APIRouter(prefix="/api/recordings")

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and one past the last of a Range header (RFC 9110, 14.2); None: the whole.

    What is not understood (several ranges, other units) is ignored, as the RFC allows.

    Raises:
        ApiError: 416 if the range lies outside.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise ApiError(
            f"the recording has {size} bytes",
            status=416,
            code="range_not_satisfiable",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end


@router.get("/{utterance}")
async def get_recording(utterance: str, store: StoreDep, owner: Owner) -> dict[str, Any]:
    """What is known of it."""
    found, _ = await owned_utterance(store, utterance, owner)
    return utterance_body(found)


@router.get("/{utterance}/audio")
async def get_audio(
    utterance: str,
    store: StoreDep,
    owner: Owner,
    tier: Tier = "fast",
    range_: Annotated[str | None, Header(alias="range")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The sound, as FLAC; of a reply ``tier`` chooses between the two renderings."""
    found, _ = await owned_utterance(store, utterance, owner)
    size, sha256 = found.file(tier)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{sha256}"',
        # A player may keep it, and asks each time whether it is still there and still allowed to it.
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization",
    }
    if if_none_match == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    part = byte_range(range_, size)
    start, end = part or (0, size)
    audio = await store.open_audio(utterance, start, end, tier=tier)
    headers["Content-Length"] = str(audio.content_length)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    # A recording that is gone after all can still be told as an error.
    first = await anext(aiter(audio.chunks), b"")
    body = _bytes(first, audio.chunks)
    status = 200 if part is None else 206
    media = audio.media_type
    return Streamed(body, total_s=DOWNLOAD_S, status_code=status, media_type=media, headers=headers)


@router.post("/{utterance}/hq", status_code=202)
async def render_again(utterance: str, runtime: RuntimeDep, store: StoreDep, owner: Owner) -> dict[str, Any]:
    """Have a reply rendered by what renders now: its rendering failed, or its voice has learned since.

    Where nothing would change nothing is done; what is there can be heard until the new one is ready.
    """
    found, _ = await owned_utterance(store, utterance, owner)
    if runtime.hq is None:
        raise ApiError(
            "replies are rendered once here: KUAIMEI_RENDERING__HQ is none", status=409, code="one_tier"
        )
    if found.voice and found.voice not in UsableVoices(runtime, owner) and _at_hand(runtime, found.voice):
        raise NotAllowed("this reply is in a voice that is not shared with you any more")
    await store.retry_rendering(utterance)
    return utterance_body(await store.utterance(utterance))


@router.delete("/{utterance}", status_code=204, responses=DELETING)
async def delete_recording(utterance: str, store: StoreDep, owner: Owner) -> Response:
    """Delete row, recording, and what waits to be done for it; 202: it is gone for all, and goes on."""
    going_on = await store.deletion("utterance", utterance)
    if going_on is None or going_on.owner != owner:
        await owned_utterance(store, utterance, owner)
    return deleted(await store.delete_utterance(utterance))


def _at_hand(runtime: AppRuntime, voice: str) -> bool:
    """The synthesiser knows it: whether anybody else does is for what renders to say."""
    return voice in runtime.engines.synthesizer.voices


async def _bytes(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async with closing(rest) as chunks:
        async for chunk in chunks:
            yield chunk
