"""HTTP API of a worker: ``/v1/audio/speech`` for one engine, reference voices, loading and state."""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import uuid4

from fastapi import Depends, FastAPI, Form, Request, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, StreamingResponse

from kuaimei import __version__
from kuaimei.audio.encode import CONTENT_TYPES, StreamEncoder
from kuaimei.engines.types import Priority, Ticket
from kuaimei.http.client_disconnect import Streamed, attended
from kuaimei.http.errors import ApiError, install_error_handlers
from kuaimei.http.limits import BodyLimit, ConcurrencyLimiter, UploadGate
from kuaimei.http.security import AuthMiddleware
from kuaimei.http.security_headers import SafeHeaders
from kuaimei.http.url_check import PlainAddress
from kuaimei.settings import ServerSettings, is_loopback
from kuaimei.text.wellformed import WellFormedText
from kuaimei.workers.reference_store import ReferenceStore
from kuaimei.workers.types import EngineRequest, Mode, ReferenceAudio
from kuaimei.workers.worker import ModelHost

__all__ = ["create_worker"]

_FILE_LIMIT: Final = 25 * 1024 * 1024
_UPLOADS: Final = 4
_UPLOADS_WAITING: Final = 64
_REQUESTS: Final = 16
"""Concurrent speech requests whose bodies are read: they may contain a reference recording."""
_INPUT_LIMIT: Final = 4096
"""Maximum length of ``input`` in characters, as in the OpenAI API."""
_DATA_URL: Final = "data:"


class _Voice(BaseModel):
    id: WellFormedText


class EngineSpeechRequest(BaseModel):
    """OpenAI-compatible speech request, extended by reference recordings.

    Attributes:
        voice: One of the engine's own voices, an id returned by ``/v1/voices``, or audio as a ``data:`` URL.
        transcript: What is said in the audio of the ``data:`` URL.
        instructions: How to say it.
        mode: ``hq`` may take longer.
        stream: False: the response starts when all the audio is ready.
    """

    model_config = ConfigDict(extra="ignore")

    input: WellFormedText = Field(min_length=1, max_length=_INPUT_LIMIT)
    model: WellFormedText = ""
    voice: WellFormedText | _Voice = ""
    transcript: WellFormedText = Field(default="", max_length=2000)
    instructions: WellFormedText = Field(default="", max_length=500)
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(default=1.0, ge=0.5, le=2.0)
    mode: Mode = "fast"
    stream: bool = True


def create_worker(worker: ModelHost, references: ReferenceStore, server: ServerSettings) -> FastAPI:
    """Return an application that serves ``worker`` and closes it at shutdown.

    Args:
        worker: The engine to serve.
        references: Store for uploaded voices.
        server: Address and key.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await worker.close()

    app = FastAPI(
        title=f"快美 kuaimei worker: {worker.card.name}",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.worker = worker
    app.state.references = references
    app.get("/healthz")(_healthz)
    app.get("/v1/models")(_models)
    app.post("/v1/load")(_load)
    app.post("/v1/unload")(_unload)
    app.get("/v1/voices")(_list_voices)
    app.post("/v1/voices", status_code=201)(_upload_voice)
    app.delete("/v1/voices/{voice}")(_delete_voice)
    app.post("/v1/audio/speech")(_speak)
    install_error_handlers(app)
    app.add_middleware(BodyLimit, files={"/v1/voices": _FILE_LIMIT, "/v1/audio/speech": _FILE_LIMIT})
    app.add_middleware(PlainAddress)
    uploads = ConcurrencyLimiter("uploads", _UPLOADS, _UPLOADS_WAITING)
    app.add_middleware(UploadGate, gates={"/v1/voices": uploads})
    requests = ConcurrencyLimiter("requests", _REQUESTS, _UPLOADS_WAITING)
    # The gate only covers reading: waiting for the engine is ordered by priority, live speech first.
    app.add_middleware(UploadGate, gates={"/v1/audio/speech": requests}, until_read=True)
    if not server.api_key.get_secret_value() and is_loopback(server.host):
        # A worker stores nothing that could be read: on loopback every local user may use it.
        server = server.model_copy(update={"open": True})
    # Unauthenticated requests are rejected before their bodies are read.
    app.add_middleware(AuthMiddleware, settings=server)
    # Outermost, so that rejections get the headers too.
    app.add_middleware(SafeHeaders)
    return app


def _worker(request: Request) -> ModelHost:
    worker: ModelHost = request.app.state.worker
    return worker


def _references(request: Request) -> ReferenceStore:
    references: ReferenceStore = request.app.state.references
    return references


WorkerDep: TypeAlias = Annotated[ModelHost, Depends(_worker)]
ReferencesDep: TypeAlias = Annotated[ReferenceStore, Depends(_references)]


class _ModeRequest(BaseModel):
    mode: Mode = "fast"


async def _healthz(request: Request, worker: WorkerDep) -> JSONResponse:
    """Return the state; authenticated callers also get the loading progress. 503 if loading failed."""
    told = worker.describe() if request.state.owner else {"status": worker.state}
    return JSONResponse(told, 503 if worker.state == "failed" else 200)


async def _models(worker: WorkerDep) -> dict[str, Any]:
    """List the worker's engine as the only model."""
    model = {"id": worker.card.name, "object": "model", "created": 0, "owned_by": "kuaimei"}
    return {"object": "list", "data": [model]}


async def _load(worker: WorkerDep, request: _ModeRequest | None = None) -> dict[str, Any]:
    """Load the engine and respond when it is ready."""
    await worker.load((request or _ModeRequest()).mode)
    return worker.describe()


async def _unload(worker: WorkerDep) -> dict[str, Any]:
    """Unload the engine; 409 ``in_use`` while it is speaking."""
    if not await worker.unload():
        raise ApiError("the engine is in use; try again later", status=409, code="in_use")
    return worker.describe()


async def _list_voices(worker: WorkerDep, references: ReferencesDep) -> dict[str, Any]:
    """List the engine's own voices (known after the first load) and the uploaded ones."""
    own = [{"id": voice, "object": "kuaimei.voice", "kind": "stock"} for voice in worker.voices]
    theirs = [{"id": voice, "object": "kuaimei.voice", "kind": "reference"} for voice in references.ids]
    return {"object": "list", "data": [*own, *theirs]}


async def _upload_voice(
    client: Request,
    worker: WorkerDep,
    references: ReferencesDep,
    file: UploadFile,
    transcript: Annotated[WellFormedText, Form(max_length=2000)] = "",
) -> dict[str, Any]:
    """Upload a voice: audio in any common format and its transcript; the same content gets the same id."""
    adding = _decode_voice(worker, references, await file.read(), transcript)
    return {"id": await attended(client, adding), "object": "kuaimei.voice"}


async def _delete_voice(voice: str, references: ReferencesDep) -> dict[str, Any]:
    """Delete an uploaded voice."""
    return {"id": voice, "object": "kuaimei.voice.deleted", "deleted": references.drop(voice)}


async def _speak(
    request: EngineSpeechRequest, client: Request, worker: WorkerDep, references: ReferencesDep
) -> StreamingResponse:
    """Synthesize ``input``; streaming starts with the first audio unless ``stream`` is false."""
    card = worker.card
    if request.model not in {"", card.name, "kuaimei"}:
        told = f"unknown model {request.model[:80]!r}; available: {card.name}"
        raise ApiError(told, status=404, code="model_not_found", param="model")
    if request.instructions and not card.instructions:
        told = f"{card.name} does not support instructions; omit them"
        raise ApiError(told, code="instructions_unsupported", param="instructions")
    if request.speed != 1.0 and not card.speed:
        told = f"{card.name} cannot change the speed; omit it"
        raise ApiError(told, code="speed_unsupported", param="speed")
    speech = await attended(client, _asked(request, worker, references))
    stream = _encoded(worker, request, speech)
    # A failure before the first byte can still be reported with an HTTP status.
    first = await attended(client, _begun(stream, whole=not request.stream))
    return Streamed(_whole(first, stream), media_type=CONTENT_TYPES[request.response_format])


async def _begun(stream: AsyncGenerator[bytes, None], *, whole: bool) -> bytes:
    """Return the first bytes, or all of them if ``whole``."""
    first = await anext(stream)
    if whole:
        async with aclosing(stream):
            first += b"".join([data async for data in stream])
    return first


async def _asked(
    request: EngineSpeechRequest, worker: ModelHost, references: ReferenceStore
) -> EngineRequest:
    voice = request.voice if isinstance(request.voice, str) else request.voice.id
    reference: ReferenceAudio | None = None
    if voice.startswith(_DATA_URL):
        voice = await _decode_voice(worker, references, _bytes_of(voice), request.transcript)
    if worker.card.references:
        reference = references.get(voice)
    if voice.startswith("ref_") and reference is None:
        told = f"the voice {voice[:40]!r} is not stored (any more); upload it again with POST /v1/voices"
        raise ApiError(told, status=404, code="voice_not_found", param="voice")
    return EngineRequest(
        text=request.input,
        voice="" if reference is not None else voice,
        reference=reference,
        speed=request.speed,
        instructions=request.instructions,
        mode=request.mode,
        ticket=Ticket(session=f"request_{uuid4().hex[:12]}", priority=_PRIORITY[request.mode]),
    )


_PRIORITY: Final = {"fast": Priority.LIVE, "hq": Priority.BACKGROUND}


async def _decode_voice(worker: ModelHost, references: ReferenceStore, data: bytes, transcript: str) -> str:
    card = worker.card
    if not card.references:
        told = f"{card.name} does not support reference recordings"
        raise ApiError(told, code="references_unsupported", param="voice")
    if card.transcript and not transcript.strip():
        told = f"{card.name} needs the transcript of the reference: send it, too"
        raise ApiError(told, code="transcript_missing", param="transcript")
    return await references.add(data, transcript)


def _bytes_of(url: str) -> bytes:
    """Decode the bytes of a ``data:audio/…;base64,…`` URL."""
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise ApiError("a reference must have the form data:audio/…;base64,…", param="voice")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise ApiError("the reference is not valid base64", param="voice") from None


async def _encoded(
    worker: ModelHost, request: EngineSpeechRequest, speech: EngineRequest
) -> AsyncGenerator[bytes, None]:
    async with worker.lease(request.mode) as speaker:
        if speech.reference is None and not speaker.voices:
            told = f"{worker.card.name} has no built-in voices: upload one with POST /v1/voices"
            raise ApiError(told, code="voice_missing", param="voice")
        if speech.voice and speech.voice not in speaker.voices:
            told = f"unknown voice {speech.voice[:80]!r}; available: {', '.join(speaker.voices)}"
            raise ApiError(told, code="voice_not_found", param="voice")
        encoder = await asyncio.to_thread(StreamEncoder, request.response_format, speaker.sample_rate)
        async with aclosing(speaker.stream(speech)) as pieces:  # type: ignore[type-var]
            async for pcm in pieces:
                if data := await asyncio.to_thread(encoder.push, pcm):
                    yield data
        yield await asyncio.to_thread(encoder.finish)


async def _whole(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest) as pieces:
        yield first
        async for data in pieces:
            yield data
