"""Remote synthesizer: any server with OpenAI's ``/v1/audio/speech``."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import httpx2
from openai import AsyncOpenAI, BaseModel, NotFoundError, OpenAIError

from kuaimei.audio.pcm import Pcm, from_bytes
from kuaimei.audio.silence import StreamTrimmer
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.remote import far_client, far_lane, first_model, map_openai_errors
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.stream_relay import relayed
from kuaimei.engines.types import TTSReq
from kuaimei.errors import EngineError, EngineUnavailable, SettingsError
from kuaimei.models.source import EngineSource, without_secrets

__all__ = ["OpenAISynthesizer", "open_openai"]

_WHO = "the synthesizer"

_PATIENCE_S: Final = 30.0
"""Timeout in seconds for requests without a deadline."""
_CHUNK_MS: Final = 100
_AHEAD_BYTES: Final = 32 * 1024 * 1024
"""Maximum audio buffered for the consumer: eleven minutes, nearly the longest permitted text."""
_UNHEARD_S: Final = 30.0
"""The request is abandoned if the buffer stays full for this many seconds."""

_log = logging.getLogger(__name__)


class _UploadedVoice(BaseModel):
    """Response of ``/v1/voices``."""

    id: str


@dataclass(slots=True, eq=False)
class _Reference:
    """Reference recording of a voice, uploaded when the server is first asked to speak in it.

    Attributes:
        audio: File in any common format.
        transcript: Words spoken in it.
        name: Id of the voice on the server; empty until it has been uploaded.
        lending: Held during the upload, so that a voice is uploaded once.
    """

    audio: bytes = field(repr=False)
    transcript: str
    name: str = ""
    lending: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)


class OpenAISynthesizer:
    """Synthesizer that requests each clause as raw PCM and passes it on while it arrives.

    A ``kuaimei worker`` also speaks in uploaded voices (`kuaimei.engines.protocols.ZeroShotCloner`), and
    has a slower mode for the HQ rendering.

    Args:
        client: Client of the server.
        model: Model to request; empty: the first that the server lists, looked up once.
        voices: Names of the server's voices, the default first.
        rate: Sample rate in Hz of the PCM it sends (OpenAI's own: 24000).
        scheduler: Limits the number of concurrent requests to the server.
    """

    def __init__(
        self, client: AsyncOpenAI, model: str, voices: Sequence[str], rate: int, scheduler: Scheduler
    ) -> None:
        self.sample_rate = rate
        self._client = client
        self._model = model
        self._voices = tuple(voices)
        self._references: dict[str, _Reference] = {}
        self._taking_back: set[asyncio.Task[None]] = set()
        self.scheduler = scheduler

    @property
    def voices(self) -> Sequence[str]:
        """Ids of the available voices; the first is the default."""
        return (*self._voices, *self._references)

    def put_reference(self, voice_id: str, audio: bytes, transcript: str) -> None:
        """See `kuaimei.engines.protocols.ZeroShotCloner`."""
        if voice_id in self._voices:
            raise EngineError(f"{voice_id} is a built-in voice of the server; it cannot be replaced")
        self._references[voice_id] = _Reference(audio, transcript)

    def drop_voice(self, voice_id: str) -> None:
        """See `kuaimei.engines.protocols.ZeroShotCloner`; the voice is deleted on the server, too."""
        reference = self._references.pop(voice_id, None)
        if reference is not None and reference.name:
            task = asyncio.ensure_future(self._delete_voice(reference.name))
            self._taking_back.add(task)
            task.add_done_callback(self._taking_back.discard)

    async def close(self) -> None:
        """Wait for pending deletions of voices on the server."""
        await asyncio.gather(*self._taking_back)

    async def stream(self, req: TTSReq) -> AsyncGenerator[Pcm, None]:
        """Yield the spoken clause, with silence trimmed at both ends.

        Raises:
            EngineUnavailable: If the server cannot be reached, has no capacity, or breaks off.
            EngineError: If it refuses or the voice is unknown; `QueueFull` if the queue was full or
                the deadline passed.
        """
        voice = req.voice_id or self._voices[0]
        if voice not in self.voices:
            raise EngineError(f"unknown voice {voice!r}; available: {', '.join(self.voices)}")
        reference = self._references.get(voice)
        trimmer = StreamTrimmer(self.sample_rate)
        sound = relayed(
            self.scheduler.acquire(req.ticket),
            lambda: self._receive(req, voice, reference),
            limit=_AHEAD_BYTES,
            size=len,
            patience_s=_UNHEARD_S,
        )
        async with aclosing(sound):
            async for data in sound:
                pcm = trimmer.push(from_bytes(data))
                if len(pcm):
                    yield pcm
        rest = trimmer.flush()
        if len(rest):
            yield rest

    async def find_model(self) -> str:
        """Return the model to request.

        Raises:
            EngineUnavailable: If the server cannot be reached.
            SettingsError: If it lists no model.
        """
        if not self._model:
            self._model = await first_model(self._client, _WHO, "KUAIMEI_ENGINES__TTS_REMOTE_MODEL")
        return self._model

    async def _receive(self, req: TTSReq, voice: str, reference: _Reference | None) -> AsyncIterator[bytes]:
        """Yield whole samples, as the server sends them."""
        deadline = req.ticket.deadline
        left_s = _PATIENCE_S if deadline is None else deadline - asyncio.get_running_loop().time()
        half = b""
        known = reference is not None and bool(reference.name)
        try:
            if reference is not None:
                voice = await self._upload_voice(reference)
            async with self._client.audio.speech.with_streaming_response.create(
                model=await self.find_model(),
                voice=voice,
                input=req.text,
                response_format="pcm",
                speed=req.speed,
                timeout=max(left_s, 0.1),
                # Only the worker has two modes; other servers are not sent this field.
                extra_body={"mode": "hq"} if req.mode == "hq" else None,
            ) as response:
                async for data in response.iter_bytes(self.sample_rate * 2 * _CHUNK_MS // 1000):
                    data, half = half + data, b""
                    if len(data) % 2:
                        data, half = data[:-1], data[-1:]
                    yield data
        except NotFoundError as error:
            if reference is None or not known or error.code != "voice_not_found":
                raise map_openai_errors(error, _WHO, str(self._client.base_url)) from error
            # The server was restarted since the upload, or has evicted the voice.
            if reference.name == voice:
                reference.name = ""
            async for data in self._receive(req, voice, reference):
                yield data
        except OpenAIError as error:
            raise map_openai_errors(error, _WHO, str(self._client.base_url)) from error
        except httpx2.HTTPError as error:
            where = without_secrets(str(self._client.base_url))
            raise EngineUnavailable(
                f"{_WHO} at {where} closed the connection in the middle of a clause"
            ) from error

    async def _upload_voice(self, reference: _Reference) -> str:
        """Upload the voice if necessary; return its id on the server."""
        async with reference.lending:
            if not reference.name:
                lent = await self._client.post(
                    "/voices",
                    cast_to=_UploadedVoice,
                    body={"transcript": reference.transcript},
                    files=[("file", ("reference", reference.audio, "application/octet-stream"))],
                    options={"headers": {"Content-Type": "multipart/form-data"}},
                )
                reference.name = lent.id
            return reference.name

    async def _delete_voice(self, name: str) -> None:
        try:
            await self._client.delete(f"/voices/{name}", cast_to=object)
        except OpenAIError as error:  # the server drops it by itself, later
            _log.warning("a voice could not be deleted on the server: %s", type(error).__name__)


@asynccontextmanager
async def open_openai(
    engine_context: EngineContext, source: EngineSource
) -> AsyncIterator[OpenAISynthesizer]:
    """Open a client of ``source.url``; if the server is not up yet, the first request asks it again."""
    settings = engine_context.settings.engines
    if not settings.tts_remote_voices:
        raise SettingsError(
            "a remote synthesizer requires the names of its voices: KUAIMEI_ENGINES__TTS_REMOTE_VOICES"
        )
    async with far_client(settings, source.url) as client:
        synthesizer = OpenAISynthesizer(
            client,
            settings.tts_remote_model,
            settings.tts_remote_voices,
            settings.tts_remote_rate,
            far_lane("tts", source.url, settings.remote_concurrency),
        )
        with suppress(EngineUnavailable, TimeoutError):
            await asyncio.wait_for(synthesizer.find_model(), _PATIENCE_S)
        try:
            yield synthesizer
        finally:
            await synthesizer.close()
