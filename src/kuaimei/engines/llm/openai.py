"""A language model far away: any server that speaks OpenAI's ``/v1/chat/completions`` (vLLM, Ollama …)."""

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
"""Patience with a server that sends nothing; whoever waits has less of it and closes the stream."""


_AHEAD: Final = 4096
"""Pieces of text that may be there before somebody takes them: more than nearly all replies have."""
_UNREAD_S: Final = 30.0
"""A reader who takes none for so long, when there are so many, is given up."""

_GO_ON: Final[dict[str, Any]] = {"continue_final_message": True, "add_generation_prompt": False}
"""What vLLM must be told to go on with a reply begun; llama.cpp and Ollama do so by themselves. OpenAI's
own service cannot, and refuses."""


class OpenAILanguageModel:
    """Asks a server for each reply.

    Args:
        client: Of the server.
        model: To ask for; empty: the first that the server lists, asked for once.
        lane: As many requests at once as the server is to get.
    """

    shares_cores = False

    def __init__(self, client: AsyncOpenAI, model: str, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._client = client
        self._model = model

    def stream(self, req: LLMReq) -> AsyncGenerator[str, None]:
        """New text as it is written, in the script of the screen.

        Closing the iterator closes the connection, at which servers stop writing.

        Raises:
            EngineUnavailable: If the server cannot be reached, has no capacity or breaks off.
            EngineError: If it refuses; `QueueFull` if there was no place or time for the request.
        """
        return on_screen(self._write(req), req.prefix)

    async def warm(self, req: LLMReq) -> None:
        """Nothing: such servers keep their own caches."""

    async def find_model(self) -> str:
        """The model to ask for.

        Raises:
            EngineUnavailable: If the server cannot be reached.
            SettingsError: If it lists none.
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
        except (OpenAIError, ValueError) as error:  # the latter: it does not speak JSON
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
        return EngineUnavailable(f"{_SERVICE_NAME} at {where} broke off in the middle of a reply")


@asynccontextmanager
async def open_openai(
    engine_context: EngineContext, source: EngineSource
) -> AsyncIterator[OpenAILanguageModel]:
    """A client of ``source.url``; a server that is not up yet is asked again at the first request."""
    settings = engine_context.settings.engines
    timeout = Timeout(_SILENCE_S, connect=_CONNECT_S)
    async with far_client(settings, source.url, timeout) as client:
        scheduler = far_lane("llm", source.url, settings.remote_concurrency)
        model = OpenAILanguageModel(client, settings.llm_remote_model, scheduler)
        with suppress(EngineUnavailable, TimeoutError):
            await asyncio.wait_for(model.find_model(), 2 * _CONNECT_S)
        yield model
