"""``/api/recordings``: one utterance and its audio, with byte ranges so that players can seek."""

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
from kuaimei.server.protocols import AppRuntime
from kuaimei.server.rest.dependencies import DELETING, Owner, RuntimeDep, StoreDep, deleted
from kuaimei.server.rest.sessions import owned_utterance, utterance_body
from kuaimei.store.utterance_record import Tier

__all__ = ["byte_range", "router"]

router = APIRouter(prefix="/api/recordings")

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and one past the last of a Range header (RFC 9110, 14.2); None: everything.

    Unsupported headers (several ranges, other units) are ignored, as the RFC allows.

    Raises:
        ApiError: 416 if the range lies outside the recording.
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
    """Return one utterance: speaker, transcript, times and the URLs of its audio."""
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
    """Return the utterance's audio as FLAC; for replies, ``tier`` selects the fast or HQ rendering."""
    found, _ = await owned_utterance(store, utterance, owner)
    size, sha256 = found.file(tier)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{sha256}"',
        # Players may cache it but must revalidate: it may be deleted, or access may be revoked.
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
    # If the recording has just been deleted, that can still be reported with an HTTP status.
    first = await anext(aiter(audio.chunks), b"")
    body = _bytes(first, audio.chunks)
    status = 200 if part is None else 206
    media = audio.media_type
    return Streamed(body, total_s=DOWNLOAD_S, status_code=status, media_type=media, headers=headers)


@router.post("/{utterance}/hq", status_code=202)
async def render_again(utterance: str, runtime: RuntimeDep, store: StoreDep, owner: Owner) -> dict[str, Any]:
    """Queue a new high-quality rendering of a reply, with the engine and voice as they are now.

    For a reply whose rendering failed or whose voice has been trained further since. Nothing is done if the
    result would be the same; the existing rendering remains available until the new one is ready.
    """
    found, _ = await owned_utterance(store, utterance, owner)
    if runtime.hq is None:
        raise ApiError(
            "high-quality rendering is disabled: KUAIMEI_RENDERING__HQ is none", status=409, code="one_tier"
        )
    if found.voice and found.voice not in UsableVoices(runtime, owner) and _at_hand(runtime, found.voice):
        raise NotAllowed("the voice of this reply is no longer shared with you")
    await store.retry_rendering(utterance)
    return utterance_body(await store.utterance(utterance))


@router.delete("/{utterance}", status_code=204, responses=DELETING)
async def delete_recording(utterance: str, store: StoreDep, owner: Owner) -> Response:
    """Permanently delete the utterance, its audio and pending jobs; 202 if that takes longer.

    After 202 the utterance can no longer be accessed, and deletion continues in the background.
    """
    going_on = await store.deletion("utterance", utterance)
    if going_on is None or going_on.owner != owner:
        await owned_utterance(store, utterance, owner)
    return deleted(await store.delete_utterance(utterance))


def _at_hand(runtime: AppRuntime, voice: str) -> bool:
    """Return True if the synthesizer knows the voice; other voices are the HQ renderer's concern."""
    return voice in runtime.engines.synthesizer.voices


async def _bytes(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async with closing(rest) as chunks:
        async for chunk in chunks:
            yield chunk
