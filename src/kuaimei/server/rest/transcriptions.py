"""``/v1/audio/transcriptions``: speech to text for audio files, segment by segment."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from starlette.responses import JSONResponse, PlainTextResponse, Response

from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.audio.streams import closing
from kuaimei.engines.types import Language, STTChunk, STTReq
from kuaimei.engines.vad.segments import speech_segments
from kuaimei.errors import EngineUnavailable, KuaimeiError
from kuaimei.http.client_disconnect import Streamed, attended
from kuaimei.http.errors import ApiError
from kuaimei.http.limits import ConcurrencyLimiter
from kuaimei.server.model_names import DEFAULT_MODEL_ID, check_model
from kuaimei.server.protocols import AppRuntime
from kuaimei.server.rest import sse
from kuaimei.server.rest.dependencies import REQUEST_TIMEOUT_S, RuntimeDep, ticket
from kuaimei.server.rest.subtitles import Segment, srt, verbose_json, vtt
from kuaimei.text.join import join_pieces
from kuaimei.text.wellformed import WellFormedText

__all__ = ["PATH", "router"]

router = APIRouter()
PATH = "/v1/audio/transcriptions"

_MAX_AUDIO_S = 3600.0
_DECODING_S = 60.0
_TOTAL_S = 3600.0
"""Seconds per request: an hour of speech takes a quarter of an hour, and live conversations go first."""


@router.post(PATH)
async def create_transcription(
    request: Request,
    runtime: RuntimeDep,
    file: Annotated[UploadFile, File()],
    model: Annotated[WellFormedText, Form()] = DEFAULT_MODEL_ID,
    language: Annotated[WellFormedText, Form()] = "",
    prompt: Annotated[WellFormedText, Form(max_length=4000)] = "",
    response_format: Annotated[Literal["json", "verbose_json", "text", "srt", "vtt"], Form()] = "json",
    granularities: Annotated[
        tuple[WellFormedText, ...], Form(alias="timestamp_granularities[]", max_length=4)
    ] = (),
    stream: Annotated[bool, Form()] = False,
) -> Response:
    """Transcribe ``file``: any common audio format, up to one hour, in Chinese, English or both."""
    check_model(runtime, "asr", model)
    if "word" in granularities:
        told = "word timestamps are not supported; request 'segment'"
        raise ApiError(told, code="unsupported", param="timestamp_granularities")
    gate: ConcurrencyLimiter = request.app.state.decoding
    asked = STTReq(
        language=_language(language, runtime),
        prompt=prompt,
        hotwords=runtime.settings.dialogue.hotwords,
        ticket=ticket(),
    )
    if not file.size:
        raise ApiError("the file is empty", code="invalid_audio", param="file")
    if stream:
        place = AsyncExitStack()
        await attended(request, place.enter_async_context(gate.enter()))
        events = _events(file, runtime, asked)
        return Streamed(events, total_s=_TOTAL_S, place=place, media_type=sse.MEDIA_TYPE)
    duration_s, segments = await attended(request, _whole(file, gate, runtime, asked), total_s=_TOTAL_S)
    text = join_pieces([s.text for s in segments])
    match response_format:
        case "text":
            return PlainTextResponse(f"{text}\n")
        case "srt":
            return PlainTextResponse(srt(segments), media_type="application/x-subrip")
        case "vtt":
            return PlainTextResponse(vtt(segments), media_type="text/vtt")
        case "verbose_json":
            return JSONResponse(verbose_json(text, segments, duration_s, _main_language(segments)))
        case "json":
            usage = {"type": "duration", "seconds": math.ceil(duration_s)}
            return JSONResponse({"text": text, "usage": usage})


def _language(asked: str, runtime: AppRuntime) -> Language | None:
    if not asked:
        given = runtime.settings.dialogue.language
        return None if given == "auto" else given
    match asked.lower().replace("_", "-").partition("-")[0]:
        case "zh" | "cmn" | "chinese" | "mandarin":
            return "zh"
        case "en" | "english":
            return "en"
    raise ApiError(f"unknown language {asked[:20]!r}; available: zh, en", param="language")


async def _whole(
    file: UploadFile, gate: ConcurrencyLimiter, runtime: AppRuntime, asked: STTReq
) -> tuple[float, list[Segment]]:
    """Return the length of the recording in seconds and its transcribed segments."""
    async with gate.enter():
        pcm = await _decoded(await file.read())
        async with closing(_segments(pcm, runtime, asked)) as segments:
            return len(pcm) / ASR_RATE, [segment async for segment in segments]


async def _decoded(data: bytes) -> Pcm:
    return await decode(data, ASR_RATE, max_s=_MAX_AUDIO_S, timeout_s=_DECODING_S)


async def _segments(pcm: Pcm, runtime: AppRuntime, asked: STTReq) -> AsyncIterator[Segment]:
    for piece in await speech_segments(pcm, runtime.engines.vad()):
        chunk = await _recognised(pcm[piece.start : piece.end], runtime, asked)
        if chunk.text.strip():
            yield Segment(
                start_s=piece.start / ASR_RATE,
                end_s=piece.end / ASR_RATE,
                text=chunk.text.strip(),
                language=chunk.language,
                confidence=chunk.confidence,
            )


async def _recognised(pcm: Pcm, runtime: AppRuntime, asked: STTReq) -> STTChunk:
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            return await runtime.engines.recognizer.transcribe(pcm, asked)
    except TimeoutError:
        raise EngineUnavailable(f"recognition produced no output for {REQUEST_TIMEOUT_S:g} s") from None


def _main_language(segments: list[Segment]) -> Language | None:
    """Return the language that is spoken longest."""
    lengths: dict[Language, float] = {}
    for s in segments:
        if s.language is not None:
            lengths[s.language] = lengths.get(s.language, 0.0) + s.end_s - s.start_s
    return max(lengths, key=lambda name: lengths[name], default=None)


async def _events(file: UploadFile, runtime: AppRuntime, asked: STTReq) -> AsyncIterator[str]:
    texts: list[str] = []
    try:
        pcm = await _decoded(await file.read())
        async with closing(_segments(pcm, runtime, asked)) as segments:
            async for segment in segments:
                before = join_pieces(texts)
                texts.append(segment.text)
                delta = join_pieces(texts)[len(before) :]
                yield sse.event({"type": "transcript.text.delta", "delta": delta})
        yield sse.event({"type": "transcript.text.done", "text": join_pieces(texts)})
    except KuaimeiError as error:
        yield sse.failure(error)
