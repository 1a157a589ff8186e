"""``/v1/chat/completions``: the server's language model as an OpenAI-compatible API."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self, TypeAlias
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import JSONResponse, Response

from kuaimei.audio.streams import closing
from kuaimei.engines.llm.context_window import estimate_tokens
from kuaimei.engines.types import LLMReq, Message
from kuaimei.errors import EngineUnavailable, KuaimeiError
from kuaimei.http.client_disconnect import Streamed, attended
from kuaimei.server.model_names import DEFAULT_MODEL_ID, check_model
from kuaimei.server.protocols import AppRuntime
from kuaimei.server.rest import sse
from kuaimei.server.rest.dependencies import REQUEST_TIMEOUT_S, RuntimeDep, ticket
from kuaimei.server.rest.stop_sequences import StopSequenceFilter
from kuaimei.text.wellformed import WellFormedText

__all__ = ["CHARACTERS_LIMIT", "router"]

router = APIRouter()

_MAX_TOKENS = 1024
CHARACTERS_LIMIT = 64 * 1024
"""Maximum number of characters in all messages of a request together."""
_PARTS = 1000
_STOPS = 4
_STOP_CHARACTERS = 64


class _Part(BaseModel):
    type: Literal["text"]
    text: WellFormedText


class _ChatMessage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: WellFormedText | Annotated[list[_Part], Field(max_length=_PARTS)]

    @property
    def characters(self) -> int:
        return len(self.content) if isinstance(self.content, str) else sum(len(p.text) for p in self.content)

    def message(self) -> Message:
        content = self.content if isinstance(self.content, str) else "\n".join(p.text for p in self.content)
        return Message(role="system" if self.role == "developer" else self.role, content=content)


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _ResponseFormat(BaseModel):
    type: Literal["text"]


_Stop: TypeAlias = Annotated[WellFormedText, Field(max_length=_STOP_CHARACTERS)]


class ChatRequest(BaseModel):
    """OpenAI-compatible request; unsupported options that affect the response format are rejected."""

    model_config = ConfigDict(extra="ignore")

    messages: list[_ChatMessage] = Field(min_length=1, max_length=1000)
    model: WellFormedText = DEFAULT_MODEL_ID
    stream: bool = False
    stream_options: _StreamOptions | None = None
    stop: _Stop | Annotated[list[_Stop], Field(max_length=_STOPS)] | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    n: Literal[1] | None = None
    tools: list[Any] | None = Field(default=None, max_length=0)
    response_format: _ResponseFormat | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        characters = sum(message.characters for message in self.messages)
        if characters > CHARACTERS_LIMIT:
            raise ValueError(
                f"the messages have {characters} characters in total; the limit is {CHARACTERS_LIMIT}"
            )
        return self

    def stops(self) -> tuple[str, ...]:
        """Return the stop sequences."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(s for s in stops if s)


@dataclass(slots=True)
class _Completion:
    """State of a completion while it is generated."""

    model: str
    prompt_tokens: int
    max_tokens: int
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    tokens: int = 0
    stopped: bool = False

    @property
    def finish_reason(self) -> str:
        return "length" if self.tokens >= self.max_tokens and not self.stopped else "stop"

    @property
    def usage(self) -> dict[str, int]:
        """Token counts: completion tokens as streamed by the model, prompt tokens estimated."""
        total = self.prompt_tokens + self.tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.tokens,
            "total_tokens": total,
        }

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> str:
        data = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }
        return sse.event(data)


@router.post("/v1/chat/completions")
async def create_chat_completion(request: ChatRequest, client: Request, runtime: RuntimeDep) -> Response:
    """Generate a reply to ``messages``: whole or, with ``stream``, as server-sent events."""
    model = check_model(runtime, "llm", request.model)
    messages = tuple(m.message() for m in request.messages)
    max_tokens = request.max_completion_tokens or request.max_tokens or _MAX_TOKENS
    prompt_tokens = await asyncio.to_thread(lambda: sum(estimate_tokens(m.content) for m in messages))
    completion = _Completion(model, prompt_tokens, max_tokens)
    given = {} if request.temperature is None else {"temperature": request.temperature}
    req = LLMReq(messages=messages, max_tokens=max_tokens, ticket=ticket(), **given)
    text = _complete(runtime, req, StopSequenceFilter(request.stops()), completion)
    if request.stream:
        include_usage = request.stream_options is not None and request.stream_options.include_usage
        # A failure before the first token can still be reported with an HTTP status.
        first = await attended(client, _first(text))
        return Streamed(_chunks(first, text, completion, include_usage), media_type=sse.MEDIA_TYPE)
    content = await attended(client, _all(text))
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "refusal": None},
        "logprobs": None,
        "finish_reason": completion.finish_reason,
    }
    return JSONResponse(
        {
            "id": completion.id,
            "object": "chat.completion",
            "created": completion.created,
            "model": model,
            "choices": [choice],
            "usage": completion.usage,
        }
    )


async def _first(text: AsyncIterator[str]) -> str:
    return await anext(text, "")


async def _all(text: AsyncIterator[str]) -> str:
    async with closing(text) as pieces:
        return "".join([piece async for piece in pieces])


async def _complete(
    runtime: AppRuntime, req: LLMReq, cutter: StopSequenceFilter, completion: _Completion
) -> AsyncIterator[str]:
    async with closing(runtime.engines.language_model.stream(req)) as stream:
        while not cutter.stopped:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    token = await anext(stream)
            except StopAsyncIteration:
                break
            except TimeoutError:
                told = f"the language model produced no output for {REQUEST_TIMEOUT_S:g} s"
                raise EngineUnavailable(told) from None
            if not token:
                continue
            completion.tokens += 1
            if text := cutter.push(token):
                yield text
    completion.stopped = cutter.stopped
    if text := cutter.flush():
        yield text


async def _chunks(
    first: str, rest: AsyncIterator[str], completion: _Completion, include_usage: bool
) -> AsyncIterator[str]:
    def delta(content: dict[str, str], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": content, "logprobs": None, "finish_reason": finish_reason}
        return completion.chunk([choice])

    try:
        async with closing(rest) as pieces:
            yield delta({"role": "assistant", "content": first})
            async for text in pieces:
                yield delta({"content": text})
        yield delta({}, completion.finish_reason)
        if include_usage:
            yield completion.chunk([], usage=completion.usage)
    except KuaimeiError as error:
        yield sse.failure(error)
    yield sse.DONE
