"""A synthesiser far away: any server that speaks OpenAI's ``/v1/audio/speech``."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import httpx2
from openai import AsyncOpenAI, OpenAIError

from kuaimei.audio.pcm import Pcm, from_bytes
from kuaimei.audio.silence import StreamTrimmer
from kuaimei.engines.remote import first_model, translated
from kuaimei.engines.scheduling import Lane
from kuaimei.engines.types import TTSReq
from kuaimei.engines.workshop import Workshop
from kuaimei.errors import EngineError, EngineUnavailable, SettingsError
from kuaimei.models.source import Source

__all__ = ["OpenAISynthesizer", "open_openai"]

_WHO = "the synthesiser"

_PATIENCE_S: Final = 30.0
"""With the server, where a request brings no deadline of its own."""
_CHUNK_MS: Final = 100


class OpenAISynthesizer:
    """Asks the server for each clause as bare PCM and passes it on while it arrives.

    Args:
        client: Of the server.
        model: To ask for; empty: the first that the server lists, asked for once.
        voices: Names the server knows, the default first.
        rate: Of the PCM it sends, in Hz (OpenAI's own: 24000).
        lane: As many requests at once as the server is to get.
    """

    def __init__(self, client: AsyncOpenAI, model: str, voices: Sequence[str], rate: int, lane: Lane) -> None:
        self.sample_rate = rate
        self._client = client
        self._model = model
        self._voices = tuple(voices)
        self.lane = lane

    @property
    def voices(self) -> Sequence[str]:
        """Ids of the voices at hand; the first is the default."""
        return self._voices

    async def stream(self, req: TTSReq) -> AsyncGenerator[Pcm, None]:
        """The clause spoken, silence trimmed at both ends.

        Raises:
            EngineUnavailable: If the server cannot be reached, has no capacity, or breaks off.
            EngineError: If it refuses or the voice is unknown; `QueueFull` if there was no place or time.
        """
        voice = req.voice_id or self._voices[0]
        if voice not in self._voices:
            raise EngineError(f"no voice is called {voice!r}; there are: {', '.join(self._voices)}")
        trimmer = StreamTrimmer(self.sample_rate)
        async with self.lane.slot(req.ticket):
            async for data in self._receive(req, voice):
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

    async def _receive(self, req: TTSReq, voice: str) -> AsyncIterator[bytes]:
        """Whole samples, as the server sends them."""
        deadline = req.ticket.deadline
        left_s = _PATIENCE_S if deadline is None else deadline - asyncio.get_running_loop().time()
        half = b""
        try:
            async with self._client.audio.speech.with_streaming_response.create(
                model=await self.find_model(),
                voice=voice,
                input=req.text,
                response_format="pcm",
                speed=req.speed,
                timeout=max(left_s, 0.1),
            ) as response:
                async for data in response.iter_bytes(self.sample_rate * 2 * _CHUNK_MS // 1000):
                    data, half = half + data, b""
                    if len(data) % 2:
                        data, half = data[:-1], data[-1:]
                    yield data
        except OpenAIError as error:
            raise translated(error, _WHO, str(self._client.base_url)) from error
        except httpx2.HTTPError as error:
            raise EngineUnavailable(
                f"{_WHO} at {self._client.base_url} broke off in the middle of a clause"
            ) from error


@asynccontextmanager
async def open_openai(workshop: Workshop, source: Source) -> AsyncIterator[OpenAISynthesizer]:
    """A client of ``source.url``; a server that is not up yet is asked again at the first request."""
    settings = workshop.settings.engines
    if not settings.tts_remote_voices:
        raise SettingsError(
            "a far synthesiser needs the names of its voices: KUAIMEI_ENGINES__TTS_REMOTE_VOICES"
        )
    async with AsyncOpenAI(
        base_url=source.url, api_key=settings.remote_key.get_secret_value() or "none", max_retries=1
    ) as client:
        synthesizer = OpenAISynthesizer(
            client,
            settings.tts_remote_model,
            settings.tts_remote_voices,
            settings.tts_remote_rate,
            Lane(f"tts at {source.url}", settings.remote_concurrency),
        )
        with suppress(EngineUnavailable, TimeoutError):
            await asyncio.wait_for(synthesizer.find_model(), _PATIENCE_S)
        yield synthesizer
