"""Remote language model: any server with OpenAI's ``/v1/chat/completions`` (vLLM, Ollama …)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final, cast

from openai import APIConnectionError, AsyncOpenAI, OpenAIError, Timeout
from openai.types.chat import ChatCompletionMessageParam

from kuaimei.engines.llm.postprocess import on_screen
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.remote import far_client, far_lane, first_model, map_openai_errors
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.stream_relay import relayed
from kuaimei.engines.types import LLMReq
from kuaimei.errors import EngineError, EngineUnavailable
from kuaimei.models.source import EngineSource, without_secrets

__all__ = ["OpenAILanguageModel", "open_openai"]

_SERVICE_NAME = "the language model"

_CONNECT_S: Final = 5.0
_SILENCE_S: Final = 60.0
"""Timeout for a server that sends nothing; a waiting turn gives up earlier and closes the stream."""


_AHEAD: Final = 4096
"""Maximum pieces of text buffered for the consumer: more than nearly all replies have."""
_UNREAD_S: Final = 30.0
"""The request is abandoned if the buffer stays full for this many seconds."""

_GO_ON: Final[dict[str, Any]] = {"continue_final_message": True, "add_generation_prompt": False}
"""Options that make vLLM continue a partial reply; llama.cpp and Ollama do so by default. OpenAI's own
service cannot, and refuses."""


class OpenAILanguageModel:
    """Language model that requests each reply from a server.

    Args:
        client: Client of the server.
        model: Model to request; empty: the first that the server lists, looked up once.
        scheduler: Limits the number of concurrent requests to the server.
    """

    shares_cores = False

    def __init__(self, client: AsyncOpenAI, model: str, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._client = client
        self._model = model

    def stream(self, req: LLMReq) -> AsyncGenerator[str, None]:
        """Yield new text as it is generated, in the script of the screen.

        Closing the iterator closes the connection, which makes servers stop generating.

        Raises:
            EngineUnavailable: If the server cannot be reached, has no capacity or breaks off.
            EngineError: If it refuses; `QueueFull` if the queue was full or the deadline passed.
        """
        return on_screen(self._write(req), req.prefix)

    async def warm(self, req: LLMReq) -> None:
        """Do nothing: such servers keep their own caches."""

    async def find_model(self) -> str:
        """Return the model to request.

        Raises:
            EngineUnavailable: If the server cannot be reached.
            SettingsError: If it lists no model.
        """
        if not self._model:
            self._model = await first_model(self._client, _SERVICE_NAME, "KUAIMEI_ENGINES__LLM_REMOTE_MODEL")
        return self._model

    async def _write(self, req: LLMReq) -> AsyncGenerator[str, None]:
        words = relayed(
            self.scheduler.acquire(req.ticket), lambda: self._ask(req), limit=_AHEAD, patience_s=_UNREAD_S
        )
        async with aclosing(words):
            async for word in words:
                yield word

    async def _ask(self, req: LLMReq) -> AsyncGenerator[str, None]:
        messages = [message.model_dump() for message in req.messages]
        if req.prefix:
            messages.append({"role": "assistant", "content": req.prefix})
        begun = finished = False
        try:
            async with await self._client.chat.completions.create(
                model=await self.find_model(),
                messages=cast("list[ChatCompletionMessageParam]", messages),
                max_tokens=req.max_tokens,
                temperature=req.temperature,
                stream=True,
                extra_body=_GO_ON if req.prefix else None,
            ) as chunks:
                async for chunk in chunks:
                    begun = True
                    for choice in chunk.choices[:1]:
                        finished = finished or choice.finish_reason is not None
                        if choice.delta.content:
                            yield choice.delta.content
        except (OpenAIError, ValueError) as error:  # ValueError: the response is not JSON
            if begun and isinstance(error, APIConnectionError):
                raise self._broken_off() from error
            raise map_openai_errors(error, _SERVICE_NAME, self._url) from error
        if not finished:
            raise self._broken_off()

    @property
    def _url(self) -> str:
        return str(self._client.base_url)

    def _broken_off(self) -> EngineError:
        where = without_secrets(self._url)
        return EngineUnavailable(f"{_SERVICE_NAME} at {where} closed the connection in the middle of a reply")


@asynccontextmanager
async def open_openai(
    engine_context: EngineContext, source: EngineSource
) -> AsyncIterator[OpenAILanguageModel]:
    """Open a client of ``source.url``; if the server is not up yet, the first request asks it again."""
    settings = engine_context.settings.engines
    timeout = Timeout(_SILENCE_S, connect=_CONNECT_S)
    async with far_client(settings, source.url, timeout) as client:
        scheduler = far_lane("llm", source.url, settings.remote_concurrency)
        model = OpenAILanguageModel(client, settings.llm_remote_model, scheduler)
        with suppress(EngineUnavailable, TimeoutError):
            await asyncio.wait_for(model.find_model(), 2 * _CONNECT_S)
        yield model
