"""A recogniser far away: any server that speaks OpenAI's ``/v1/audio/transcriptions``."""

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

_WHO = "the recogniser"

_CONNECT_S = 30.0
"""Patience with the server where a request brings no deadline of its own."""


class OpenAIRecognizer:
    """Uploads each utterance as a WAV file.

    Args:
        client: Of the server.
        model: To ask for; empty: the first that the server lists, asked for once.
        lane: As many requests at once as the server is to get.
    """

    def __init__(self, client: AsyncOpenAI, model: str, scheduler: Scheduler) -> None:
        self._client = client
        self._model = model
        self.scheduler = scheduler

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        """Recognise ``pcm`` (16 kHz mono).

        Returns:
            A final chunk; its text is empty if nothing was said.

        Raises:
            EngineUnavailable: If the server cannot be reached or has no capacity.
            EngineError: If it refuses; `QueueFull` if there was no place or time for the request.
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
        """The model to ask for.

        Raises:
            EngineUnavailable: If the server cannot be reached.
            SettingsError: If it lists none.
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
    """The language of most of ``text``: the dialect's plain answer does not tell."""
    said = units(text)
    if not said:
        return None
    latin = sum(unit.isascii() for unit in said)
    return "en" if latin > len(said) / 2 else "zh"


@asynccontextmanager
async def open_openai(engine_context: EngineContext, source: EngineSource) -> AsyncIterator[OpenAIRecognizer]:
    """A client of ``source.url``; a server that is not up yet is asked again at the first request."""
    settings = engine_context.settings.engines
    async with far_client(settings, source.url) as client:
        scheduler = far_lane("asr", source.url, settings.remote_concurrency)
        recognizer = OpenAIRecognizer(client, settings.asr_remote_model, scheduler)
        with suppress(EngineUnavailable, TimeoutError):
            await asyncio.wait_for(recognizer.find_model(), _CONNECT_S)
        yield recognizer
