"""Whatever is no text is refused wherever it comes in, at once and for good, and is never kept."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect

from kuaimei.engines.llm.postprocess import on_screen
from kuaimei.engines.types import LLMReq
from kuaimei.server.realtime.protocol import CLIENT_EVENTS
from kuaimei.settings import Settings
from kuaimei.text.wellformed import is_well_formed
from kuaimei.workers.app import create_worker
from kuaimei.workers.reference_store import ReferenceStore
from kuaimei.workers.types import Options
from kuaimei.workers.worker import ModelHost
from tests.support.fakes import FakeLanguageModel
from tests.support.routes import routes_of
from tests.support.server.app_server import quick_engines
from tests.support.server.realtime_client import b64, question
from tests.support.server.whole_server import Whole, fill, whole
from tests.support.tone_engine import Tone
from tests.support.voices.running_library import FakeVoiceBank, audio

NO_TEXT: Final = ("a\x00b", "\x00", "a\ud800b", "\udfff")
STRANGE: Final = ("\uffff", "\u202e\u2066abc", "a\u0301" * 50, "\ufeff", "\u2028", "\x7f\x1b[2J", "𠮷😀")
SESSION: Final = "sess_text"

Place: TypeAlias = tuple[str | int, ...]
"""Names and indices that lead into a document."""


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Whole]:
    async with whole(settings) as served:
        await fill(served.store, SESSION, 4)
        yield served


@dataclass(frozen=True)
class Operation:
    """One method at one path.

    Attributes:
        texts: Places for text in its body, in the order of their names.
        form: It takes a form, not JSON.
        path_names: What of its path is to be filled in.
        query_names: What may stand behind a question mark.
    """

    method: str
    path: str
    texts: tuple[Place, ...]
    form: bool
    path_names: tuple[str, ...]
    query_names: tuple[str, ...]


def texts_of(schema: dict[str, Any], known: dict[str, Any], where: Place = ()) -> Iterator[Place]:
    """Places for text in what a JSON schema describes; not those that take one of a few words."""
    if "$ref" in schema:
        yield from texts_of(known[schema["$ref"].rpartition("/")[2]], known, where)
        return
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from texts_of(one, known, where)
    if schema.get("type") == "string" and not {"enum", "const", "format", "contentMediaType"} & schema.keys():
        yield where
    if schema.get("type") == "array":
        yield from texts_of(schema.get("items", {}), known, (*where, 0))
    for name, inside in schema.get("properties", {}).items():
        yield from texts_of(inside, known, (*where, name))


def operations(app: FastAPI) -> list[Operation]:
    """All of an application's, as it describes itself."""
    described = app.openapi()
    known = described.get("components", {}).get("schemas", {})
    found = []
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            content = told.get("requestBody", {}).get("content", {})
            texts = [place for one in content.values() for place in texts_of(one["schema"], known)]
            names = {
                kind: tuple(one["name"] for one in told.get("parameters", ()) if one["in"] == kind)
                for kind in ("path", "query")
            }
            form = "multipart/form-data" in content
            found.append(
                Operation(
                    method.upper(), path, tuple(dict.fromkeys(texts)), form, names["path"], names["query"]
                )
            )
    return found


def body_at(path: Place, text: str) -> Any:
    """A document with ``text`` there, and nothing else."""
    body: Any = text
    for name in reversed(path):
        body = [body] if isinstance(name, int) else {name: body}
    return body


def filled(path: str) -> str:
    return (
        path.replace("{session}", SESSION)
        .replace("{utterance}", f"utt_{SESSION}_00000")
        .replace("{voice}", "zf_one")
        .replace("{side}", "a")
    )


REST: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "好"}]},
    "/v1/audio/speech": {"input": "好"},
    "/api/listening/{trial}": {"choice": "a"},
    "/api/labelling/{utterance}": {"confidence": 3},
}
"""What a request needs beside the text that is tried."""
FORMS: Final[dict[str, dict[str, Any]]] = {
    "/api/voices": {"name": "美", "consent_speaker": "美", "consent_statement": "可以"},
}


async def put(client: httpx.AsyncClient, operation: Operation, place: Place, text: str) -> httpx.Response:
    if operation.form:
        fields = {**FORMS.get(operation.path, {}), str(place[0]): text}
        parts = b"".join(
            f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n'.encode()
            + value.encode("utf-8", "surrogatepass")
            + b"\r\n"
            for name, value in fields.items()
        )
        file = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        content = parts + file + audio(2.0, 2.5, 3.0) + b"\r\n--b--\r\n"
        headers = {"content-type": "multipart/form-data; boundary=b"}
    else:
        content = json.dumps({**REST.get(operation.path, {}), **body_at(place, text)}).encode()
        headers = {"content-type": "application/json"}
    return await client.request(operation.method, filled(operation.path), content=content, headers=headers)


async def test_every_route_is_described(served: Whole) -> None:
    described = {(operation.method, operation.path) for operation in operations(served.app)}
    assert {(route.method, route.path) for route in routes_of(served.app)} == described


async def test_no_field_of_a_body_takes_what_is_no_text(served: Whole) -> None:
    found = operations(served.app)
    assert sum(len(operation.texts) for operation in found) > 20
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        for operation in found:
            for place in operation.texts:
                for text in NO_TEXT:
                    if operation.form and "\x00" not in text:
                        continue  # half a surrogate pair is no UTF-8, and the form's reader replaces it
                    answer = await put(client, operation, place, text)
                    assert answer.status_code == 400, (operation, place, text, answer.text)
                    assert is_well_formed(answer.json()["error"]["message"])
                for text in STRANGE:
                    answer = await put(client, operation, place, text)
                    assert answer.status_code < 500, (operation, place, text, answer.text)
    assert await served.store.flush(60)
    assert (await served.store.statistics()).unsaved == 0


async def test_no_address_holds_what_is_no_text(served: Whole) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        for operation in operations(served.app):
            for name in (*operation.path_names, *operation.query_names):
                for text in ("%00", "a%00b", "%ED%A0%80", "%FF", "%EF%BF%BF", "..%2f..%2fetc", "a" * 5000):
                    path, query = operation.path, f"?{name}={text}"
                    if name in operation.path_names:
                        path, query = path.replace("{" + name + "}", text), ""
                    answer = await client.request(operation.method, filled(path) + query)
                    assert answer.status_code < 500, (operation, text, answer.text)
                    if "%00" in text:
                        assert answer.status_code == 400, (operation, text)


async def test_a_worker_takes_no_such_text_either(tmp_path: Path) -> None:
    worker = ModelHost(Tone().card(), Options(Settings(home=tmp_path)))
    app = create_worker(worker, ReferenceStore(tmp_path), Settings().server)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        found = operations(app)
        assert sum(len(operation.texts) for operation in found) > 5
        for operation in found:
            for place in operation.texts:
                for text in NO_TEXT:
                    if operation.form and "\x00" not in text:
                        continue
                    answer = await put(client, operation, place, text)
                    assert answer.status_code == 400, (operation, place, text, answer.text)
        assert (await client.get("/v1/voices?x=%00")).status_code == 400
    await worker.close()


EVENTS: Final[dict[str, dict[str, Any]]] = {
    "session.update": {"session": {"instructions": "好"}},
    "input_audio_buffer.append": {"audio": ""},
    "input_audio_buffer.commit": {},
    "input_audio_buffer.clear": {},
    "conversation.item.create": {
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "好"}]}
    },
    "conversation.item.retrieve": {"item_id": "x"},
    "conversation.item.delete": {"item_id": "x"},
    "conversation.item.truncate": {"item_id": "x", "audio_end_ms": 1},
    "response.create": {"response": {"metadata": {"a": "b"}}},
    "response.cancel": {"response_id": "x"},
    "output_audio_buffer.clear": {},
}


def places(value: Any) -> Iterator[Place]:
    """Of every string in an event, and of a name that nobody expects."""
    if isinstance(value, dict):
        yield ("unknown",)
        for name, part in value.items():
            yield from ((name, *path) for path in places(part))
    elif isinstance(value, list):
        for n, part in enumerate(value):
            yield from ((n, *path) for path in places(part))
    elif isinstance(value, str):
        yield ()


def replaced(value: Any, path: Place, text: str) -> Any:
    if not path:
        return text
    name, *rest = path
    if isinstance(value, dict):
        return {**value, name: replaced(value.get(str(name)), tuple(rest), text)}
    return [replaced(part, tuple(rest), text) if n == name else part for n, part in enumerate(value)]


async def answered(socket: ClientConnection) -> list[dict[str, Any]]:
    """Everything told until the server has answered something harmless: so it is still there."""
    event = {"type": "conversation.item.retrieve", "item_id": "none", "event_id": "still-there"}
    await socket.send(json.dumps(event))
    told: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while True:
            told.append(json.loads(await socket.recv()))
            if told[-1].get("error", {}).get("event_id") == "still-there":
                return told[:-1]


async def test_no_client_event_takes_what_is_no_text(served: Whole) -> None:
    assert EVENTS.keys() == CLIENT_EVENTS
    async with connect(served.socket_url, max_size=None, max_queue=None) as socket:
        await answered(socket)
        for kind, fields in EVENTS.items():
            event = {"type": kind, "event_id": "mine", **fields}
            for path in places(event):
                for text in NO_TEXT:
                    await socket.send(json.dumps(replaced(event, path, text)))
                    told = [one["error"] for one in await answered(socket) if one["type"] == "error"]
                    assert [one["code"] for one in told] == ["invalid_text"], (kind, path, text, told)
        await socket.send(json.dumps({"type": "session.update", "session": {"a\x00": 1, "b": {"\ud800": 1}}}))
        assert [one["error"]["code"] for one in await answered(socket)] == ["invalid_text"]
    assert await served.store.flush(60)
    assert (await served.store.statistics()).unsaved == 0


class FarModel(FakeLanguageModel):
    """Its words take the way of every engine's."""

    def stream(self, req: LLMReq) -> AsyncGenerator[str, None]:
        written: AsyncGenerator[str, None] = super().stream(req)  # type: ignore[assignment]
        return on_screen(written, req.prefix)


async def test_what_a_model_says_is_text_when_it_is_kept_and_sent(settings: Settings) -> None:
    """A far model's NUL and its halves of characters, and a client with a strange name."""
    words = "好的\ud83d\x00。今天\udc00很好。"
    model = FarModel(reply=words, token=1, first_token_s=0.0, token_s=0.0, shares_cores=False)
    engines = quick_engines(language_model=model, synthesizer=FakeVoiceBank(delay_s=0.0))
    async with (
        whole(settings, engines) as served,
        connect(served.socket_url, max_size=None, max_queue=None, user_agent_header="é\xff") as socket,
    ):
        created = json.loads(await socket.recv())
        data = question()
        for start in range(0, len(data), 9600):
            audio = b64(data[start : start + 9600])
            await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        async with asyncio.timeout(60):
            while (event := json.loads(await socket.recv()))["type"] != "response.done":
                assert event["type"] != "error"
        assert await served.store.flush(60)
        user, reply = await served.store.utterances(created["session"]["id"])
        assert user.transcript == "你好嗎"
        assert reply.transcript is not None
        assert is_well_formed(reply.transcript)
        assert "今天" in reply.transcript
