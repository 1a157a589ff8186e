"""The far language model against a real HTTP server on loopback that speaks the dialect."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from kuaimei.engines.llm import open_language_model
from kuaimei.engines.llm.openai import OpenAILanguageModel
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import LLMReq, Message, Ticket
from kuaimei.errors import EngineError, EngineUnavailable, QueueFull, SettingsError
from kuaimei.models.source import EngineSource
from kuaimei.settings import EngineSettings, Settings

ASK = LLMReq(messages=(Message(role="system", content="你是快美。"), Message(role="user", content="嗨")))


class Server:
    """Writes ``pieces`` one event at a time, then does what ``ending`` says; bytes on a socket.

    Attributes:
        ending: ``stop`` (finish reason and mark), ``cut`` (the connection breaks), ``quiet`` (it ends
            without a finish reason), ``hang`` (nothing more comes), ``error`` (an error in the stream),
            ``noise`` (what is no JSON).
        left: Set once the client of a stream has gone away.
    """

    def __init__(self) -> None:
        self.pieces = ["你好", "，我是", "快美。"]
        self.ending = "stop"
        self.status = 200
        self.models = ["qwen", "other"]
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.keys.append(headers.get("authorization", ""))
            if head.startswith("GET /v1/models "):
                data = [{"id": m, "object": "model", "created": 0, "owned_by": "us"} for m in self.models]
                await self._answer(writer, 200, {"object": "list", "data": data})
            else:
                self.requests.append(json.loads(body))
                self.arrived.set()
                if self.status != 200:
                    await self._answer(writer, self.status, {"error": {"message": "no such thing"}})
                else:
                    await self._stream(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for piece in self.pieces:
            await self._event(writer, json.dumps(_chunk({"content": piece})))
        if self.ending == "hang":
            await reader.read()  # until the client goes
            self.left.set()
        elif self.ending == "error":
            await self._event(writer, json.dumps({"error": {"message": "out of memory"}}))
        elif self.ending == "noise":
            await self._event(writer, "<html>")
        elif self.ending == "stop":
            await self._event(writer, json.dumps(_chunk({}, "stop")))
            await self._event(writer, "[DONE]")
        if self.ending != "cut":
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    @staticmethod
    async def _event(writer: asyncio.StreamWriter, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await writer.drain()


def _chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    async with listening:
        yield made


@asynccontextmanager
async def opened(url: str, **engines: Any) -> AsyncIterator[OpenAILanguageModel]:
    settings = Settings(engines=EngineSettings(cores=1, **engines))
    source = EngineSource("llm", url, "openai", url=url)
    async with open_language_model(EngineContext(settings, Scheduler("cores", 1)), source) as model:
        assert isinstance(model, OpenAILanguageModel)
        yield model


async def reply(model: OpenAILanguageModel, req: LLMReq = ASK) -> str:
    return "".join([piece async for piece in model.stream(req)])


async def test_a_reply_is_streamed_by_the_first_model_listed(server: Server) -> None:
    async with opened(server.url, remote_key="sesame") as model:
        assert not model.shares_cores
        assert await reply(model) == "你好，我是快美。"
        await model.warm(ASK)  # nothing is asked
    (request,) = server.requests
    assert request["model"] == "qwen"
    assert request["stream"] is True
    assert request["max_tokens"] == ASK.max_tokens
    assert request["temperature"] == ASK.temperature
    assert request["messages"] == [m.model_dump() for m in ASK.messages]
    assert "continue_final_message" not in request
    assert set(server.keys) == {"bearer sesame"}


async def test_the_model_named_in_the_settings_is_asked_for(server: Server) -> None:
    async with opened(server.url, llm_remote_model="breeze") as model:
        await reply(model)
    assert server.requests[0]["model"] == "breeze"
    assert len(server.keys) == 1  # nobody asked for the list


async def test_what_is_written_reaches_the_screen_in_traditional_and_without_markup(server: Server) -> None:
    server.pieces = ["**软", "件**很", "好用", "😀。"]
    async with opened(server.url) as model:
        assert await reply(model) == "軟體很好用。"


async def test_it_goes_on_from_a_prefix(server: Server) -> None:
    server.pieces = [" am", " fine."]
    async with opened(server.url) as model:
        assert await reply(model, ASK.model_copy(update={"prefix": "I"})) == " am fine."
    (request,) = server.requests
    assert request["messages"][-1] == {"role": "assistant", "content": "I"}
    assert request["continue_final_message"] is True
    assert request["add_generation_prompt"] is False


async def test_closing_the_stream_hangs_up_and_frees_the_place(server: Server) -> None:
    server.ending = "hang"
    async with opened(server.url, remote_concurrency=1) as model:
        async with aclosing(model.stream(ASK)) as stream:
            assert await anext(stream) == "你好"
            assert model.scheduler.busy == 1
        assert model.scheduler.busy == 0
        await server.left.wait()


async def test_a_server_that_says_nothing_can_be_left(server: Server) -> None:
    server.pieces, server.ending = [], "hang"
    async with opened(server.url) as model:
        task = asyncio.ensure_future(reply(model))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.left.wait()
        assert model.scheduler.busy == 0


@pytest.mark.parametrize("ending", ["cut", "quiet"])
async def test_a_reply_cut_off_is_told_after_what_came(server: Server, ending: str) -> None:
    server.ending = ending
    async with opened(server.url) as model, aclosing(model.stream(ASK)) as stream:
        assert await anext(stream) == "你好"
        with pytest.raises(EngineUnavailable, match="closed the connection in the middle"):
            await _rest(stream)
        assert model.scheduler.busy == 0


@pytest.mark.parametrize(("ending", "says"), [("error", "out of memory"), ("noise", "no usable response")])
async def test_nonsense_in_the_stream_is_an_error(server: Server, ending: str, says: str) -> None:
    server.ending = ending
    async with opened(server.url) as model:
        with pytest.raises(EngineError, match=says):
            await reply(model)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (400, EngineError, "rejected the request .HTTP 400.*no such thing"),
        (401, EngineError, "KUAIMEI_ENGINES__REMOTE_KEY"),
        (404, EngineError, "rejected the request .HTTP 404"),
        (503, EngineUnavailable, "no capacity .HTTP 503"),
    ],
)
async def test_refusals_say_what_to_do(
    server: Server, status: int, error: type[EngineError], says: str
) -> None:
    async with opened(server.url) as model:
        server.status = status
        with pytest.raises(error, match=says) as caught:
            await reply(model)
        assert type(caught.value) is error
        server.status = 200  # and the next request is unharmed
        assert await reply(model) == "你好，我是快美。"


async def test_a_server_that_is_down_at_opening_is_asked_again(server: Server) -> None:
    listening = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    async with opened(f"http://127.0.0.1:{port}/v1") as model:
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await reply(model)
        again = await asyncio.start_server(server.serve, "127.0.0.1", port)
        async with again:
            assert await reply(model) == "你好，我是快美。"


async def test_a_server_without_models_is_a_matter_of_settings(server: Server) -> None:
    server.models = []
    with pytest.raises(SettingsError, match="LLM_REMOTE_MODEL"):
        async with opened(server.url):
            pass


async def test_no_more_requests_at_once_than_agreed(server: Server) -> None:
    server.ending = "hang"
    async with (
        opened(server.url, remote_concurrency=1) as model,
        aclosing(model.stream(ASK)) as first,
    ):
        await anext(first)
        late = ASK.model_copy(update={"ticket": Ticket(deadline=asyncio.get_running_loop().time())})
        with pytest.raises(QueueFull):
            await reply(model, late)
    assert len(server.requests) == 1


async def _rest(stream: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in stream]
