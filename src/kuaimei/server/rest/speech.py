"""``/v1/audio/speech``: text to speech, streamed during synthesis."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from kuaimei.audio.encode import CONTENT_TYPES, StreamEncoder
from kuaimei.audio.pcm import Pcm
from kuaimei.audio.streams import closing
from kuaimei.engines.types import TTSReq
from kuaimei.errors import EngineUnavailable, KuaimeiError
from kuaimei.http.client_disconnect import Streamed, attended
from kuaimei.http.errors import ApiError
from kuaimei.server.allowed_voices import UsableVoices
from kuaimei.server.model_names import DEFAULT_MODEL_ID, check_model
from kuaimei.server.protocols import AppRuntime
from kuaimei.server.rest import sse
from kuaimei.server.rest.dependencies import REQUEST_TIMEOUT_S, Owner, RuntimeDep, ticket
from kuaimei.text.wellformed import WellFormedText

__all__ = ["INPUT_LIMIT", "router"]

router = APIRouter()

INPUT_LIMIT = 4096
"""Maximum length of ``input`` in characters, as in the OpenAI API."""


class _Voice(BaseModel):
    id: WellFormedText


class SpeechRequest(BaseModel):
    """OpenAI-compatible speech request."""

    model_config = ConfigDict(extra="ignore")

    input: WellFormedText = Field(min_length=1, max_length=INPUT_LIMIT)
    model: WellFormedText = DEFAULT_MODEL_ID
    voice: WellFormedText | _Voice = ""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(default=1.0, ge=0.5, le=2.0)
    stream_format: Literal["audio", "sse"] = "audio"


@router.post("/v1/audio/speech", response_model=None)
async def create_speech(
    request: SpeechRequest, client: Request, runtime: RuntimeDep, owner: Owner
) -> Response:
    """Synthesize ``input``; streaming starts as soon as the first clause is ready."""
    check_model(runtime, "tts", request.model)
    synthesizer = runtime.engines.synthesizer
    voice = _voice(request, UsableVoices(runtime, owner))
    req = TTSReq(text=request.input, voice_id=voice, speed=request.speed, ticket=ticket())
    encoder = await asyncio.to_thread(StreamEncoder, request.response_format, synthesizer.sample_rate)
    stream = _encoded(_with_timeout(runtime, req), encoder)
    # A failure before the first byte can still be reported with an HTTP status.
    first = await attended(client, anext(stream))
    if request.stream_format == "sse":
        return Streamed(_events(first, stream), media_type=sse.MEDIA_TYPE)
    return Streamed(_whole(first, stream), media_type=CONTENT_TYPES[request.response_format])


def _voice(request: SpeechRequest, voices: UsableVoices) -> str:
    asked = request.voice if isinstance(request.voice, str) else request.voice.id
    if asked and asked not in voices:
        told = f"unknown voice {asked[:80]!r}; available: {', '.join(voices)}"
        raise ApiError(told, code="voice_not_found", param="voice")
    return asked or voices.default


async def _with_timeout(runtime: AppRuntime, req: TTSReq) -> AsyncIterator[Pcm]:
    async with closing(runtime.engines.synthesizer.stream(req)) as stream:
        while True:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    pcm = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise EngineUnavailable(f"synthesis produced no output for {REQUEST_TIMEOUT_S:g} s") from None
            yield pcm


async def _encoded(audio: AsyncIterator[Pcm], encoder: StreamEncoder) -> AsyncGenerator[bytes, None]:
    async with closing(audio) as pieces:
        async for pcm in pieces:
            if data := await asyncio.to_thread(encoder.push, pcm):
                yield data
    yield await asyncio.to_thread(encoder.finish)


async def _whole(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with closing(rest) as pieces:
        yield first
        async for data in pieces:
            yield data


async def _events(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[str]:
    try:
        async with closing(_whole(first, rest)) as pieces:
            async for data in pieces:
                audio = base64.b64encode(data).decode("ascii")
                yield sse.event({"type": "speech.audio.delta", "audio": audio})
        usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        yield sse.event({"type": "speech.audio.done", "usage": usage})
    except KuaimeiError as error:
        yield sse.failure(error)
