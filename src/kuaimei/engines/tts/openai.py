"""A synthesiser far away: any server that speaks OpenAI's ``/v1/audio/speech``."""

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

_WHO = "the synthesiser"

_PATIENCE_S: Final = 30.0
"""With the server, where a request brings no deadline of its own."""
_CHUNK_MS: Final = 100
_AHEAD_BYTES: Final = 32 * 1024 * 1024
"""Sound that may be there before somebody takes it: eleven minutes, nearly the longest text there may be."""
_UNHEARD_S: Final = 30.0
"""A listener who takes nothing for so long, when there is so much, is given up."""

_log = logging.getLogger(__name__)


class _UploadedVoice(BaseModel):
    """Answer of ``/v1/voices``."""

    id: str


@dataclass(slots=True, eq=False)
class _Reference:
    """A voice that the server is lent when it is asked to speak in it.

    Attributes:
        name: By which the server knows it; empty: it does not yet.
    """

    audio: bytes = field(repr=False)
    transcript: str
    name: str = ""
    lending: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)


class OpenAISynthesizer:
    """Asks the server for each clause as bare PCM and passes it on while it arrives.

    A ``kuaimei worker`` also speaks in voices that it is lent (`kuaimei.engines.protocols.ZeroShotCloner`),
    and takes its time for what is to be beautiful.

    Args:
        client: Of the server.
        model: To ask for; empty: the first that the server lists, asked for once.
        voices: Names the server knows, the default first.
        rate: Of the PCM it sends, in Hz (OpenAI's own: 24000).
        lane: As many requests at once as the server is to get.
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
        """Ids of the voices at hand; the first is the default."""
        return (*self._voices, *self._references)

    def put_reference(self, voice_id: str, audio: bytes, transcript: str) -> None:
        """See `kuaimei.engines.protocols.ZeroShotCloner`."""
        if voice_id in self._voices:
            raise EngineError(f"{voice_id} is a voice of the server's own; it cannot be replaced")
        self._references[voice_id] = _Reference(audio, transcript)

    def drop_voice(self, voice_id: str) -> None:
        """See `kuaimei.engines.protocols.ZeroShotCloner`; the server is asked to forget it, too."""
        reference = self._references.pop(voice_id, None)
        if reference is not None and reference.name:
            task = asyncio.ensure_future(self._delete_voice(reference.name))
            self._taking_back.add(task)
            task.add_done_callback(self._taking_back.discard)

    async def close(self) -> None:
        """Let what the server is being told be said."""
        await asyncio.gather(*self._taking_back)

    async def stream(self, req: TTSReq) -> AsyncGenerator[Pcm, None]:
        """The clause spoken, silence trimmed at both ends.

        Raises:
            EngineUnavailable: If the server cannot be reached, has no capacity, or breaks off.
            EngineError: If it refuses or the voice is unknown; `QueueFull` if there was no place or time.
        """
        voice = req.voice_id or self._voices[0]
        if voice not in self.voices:
            raise EngineError(f"no voice is called {voice!r}; there are: {', '.join(self.voices)}")
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
        """The model to ask for.

        Raises:
            EngineUnavailable: If the server cannot be reached.
            SettingsError: If it lists none.
        """
        if not self._model:
            self._model = await first_model(self._client, _WHO, "KUAIMEI_ENGINES__TTS_REMOTE_MODEL")
        return self._model

    async def _receive(self, req: TTSReq, voice: str, reference: _Reference | None) -> AsyncIterator[bytes]:
        """Whole samples, as the server sends them."""
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
                # Other servers need not hear of it: they have one way to speak.
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
            # It was restarted since, or had no more room for it.
            if reference.name == voice:
                reference.name = ""
            async for data in self._receive(req, voice, reference):
                yield data
        except OpenAIError as error:
            raise map_openai_errors(error, _WHO, str(self._client.base_url)) from error
        except httpx2.HTTPError as error:
            where = without_secrets(str(self._client.base_url))
            raise EngineUnavailable(f"{_WHO} at {where} broke off in the middle of a clause") from error

    async def _upload_voice(self, reference: _Reference) -> str:
        """The name by which the server knows it."""
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
        except OpenAIError as error:  # it forgets it by itself, later
            _log.warning("the server could not be told to forget a voice: %s", type(error).__name__)


@asynccontextmanager
async def open_openai(
    engine_context: EngineContext, source: EngineSource
) -> AsyncIterator[OpenAISynthesizer]:
    """A client of ``source.url``; a server that is not up yet is asked again at the first request."""
    settings = engine_context.settings.engines
    if not settings.tts_remote_voices:
        raise SettingsError(
            "a far synthesiser needs the names of its voices: KUAIMEI_ENGINES__TTS_REMOTE_VOICES"
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
