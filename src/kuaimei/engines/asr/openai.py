"""Remote recognizer: any server with OpenAI's ``/v1/audio/transcriptions``."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from openai import AsyncOpenAI, OpenAIError, omit

from kuaimei.audio.pcm import ASR_RATE, Pcm, duration_ms, to_bytes
from kuaimei.engines.asr.hallucination_filter import units, voiced_s
from kuaimei.engines.asr.postprocess import postprocess_transcript
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.remote import far_client, far_lane, first_model, map_openai_errors
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Language, STTChunk, STTReq
from kuaimei.errors import EngineUnavailable
from kuaimei.models.source import EngineSource

__all__ = ["OpenAIRecognizer", "open_openai"]

_WHO = "the recognizer"

_CONNECT_S = 30.0
"""Timeout in seconds for requests without a deadline."""


class OpenAIRecognizer:
    """Recognizer that uploads each utterance as a WAV file.

    Args:
        client: Client of the server.
        model: Model to request; empty: the first that the server lists, looked up once.
        scheduler: Limits the number of concurrent requests to the server.
    """

    def __init__(self, client: AsyncOpenAI, model: str, scheduler: Scheduler) -> None:
        self._client = client
        self._model = model
        self.scheduler = scheduler

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        """Recognize ``pcm`` (16 kHz mono).

        Returns:
            A final chunk; its text is empty if the audio holds no speech.

        Raises:
            EngineUnavailable: If the server cannot be reached or has no capacity.
            EngineError: If it refuses; `QueueFull` if the queue was full or the deadline passed.
        """
        end_ms = duration_ms(pcm, ASR_RATE)
        if voiced_s(pcm) == 0.0:
            return STTChunk(text="", is_final=True, end_ms=end_ms)
        async with self.scheduler.acquire(req.ticket):
            text = postprocess_transcript(await self._upload(pcm, req))
        return STTChunk(
            text=text if units(text) else "",
            is_final=True,
            language=req.language or _language(text),
            end_ms=end_ms,
        )

    async def find_model(self) -> str:
        """Return the model to request.

        Raises:
            EngineUnavailable: If the server cannot be reached.
            SettingsError: If it lists no model.
        """
        if not self._model:
            self._model = await first_model(self._client, _WHO, "KUAIMEI_ENGINES__ASR_REMOTE_MODEL")
        return self._model

    async def _upload(self, pcm: Pcm, req: STTReq) -> str:
        hints = " ".join(filter(None, ("、".join(req.hotwords), req.prompt)))
        deadline = req.ticket.deadline
        left_s = _CONNECT_S if deadline is None else deadline - asyncio.get_running_loop().time()
        try:
            answer = await self._client.audio.transcriptions.create(
                model=await self.find_model(),
                file=("utterance.wav", _wav(pcm), "audio/wav"),
                language=req.language or omit,
                prompt=hints or omit,
                response_format="json",
                timeout=max(left_s, 0.1),
            )
        except OpenAIError as error:
            raise map_openai_errors(error, _WHO, str(self._client.base_url)) from error
        return answer.text


def _wav(pcm: Pcm) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(ASR_RATE)
        sound.writeframes(to_bytes(pcm))
    return file.getvalue()


def _language(text: str) -> Language | None:
    """Return the majority language of ``text``: the API's plain JSON response does not contain it."""
    said = units(text)
    if not said:
        return None
    latin = sum(unit.isascii() for unit in said)
    return "en" if latin > len(said) / 2 else "zh"


@asynccontextmanager
async def open_openai(engine_context: EngineContext, source: EngineSource) -> AsyncIterator[OpenAIRecognizer]:
    """Open a client of ``source.url``; if the server is not up yet, the first request asks it again."""
    settings = engine_context.settings.engines
    async with far_client(settings, source.url) as client:
        scheduler = far_lane("asr", source.url, settings.remote_concurrency)
        recognizer = OpenAIRecognizer(client, settings.asr_remote_model, scheduler)
        with suppress(EngineUnavailable, TimeoutError):
            await asyncio.wait_for(recognizer.find_model(), _CONNECT_S)
        yield recognizer
