"""Clients of the realtime protocol for tests: raw, and checked against the official types."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, get_args

import numpy as np
from openai import BaseModel
from openai.types.realtime import RealtimeServerEvent
from websockets.asyncio.client import ClientConnection, connect

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_bytes
from kuaimei.audio.resample import resample
from tests.support.fakes import said, silence
from tests.support.server.app_server import Served

__all__ = ["Talk", "audio_of", "b64", "check_official", "question", "talking", "wire"]

_OFFICIAL: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(RealtimeServerEvent)[0])
}


def wire(*sounds: Pcm) -> bytes:
    """Sounds at 16 kHz as a client sends them: 24 kHz PCM."""
    return to_bytes(resample(np.concatenate(sounds), ASR_RATE, 24_000))


def question() -> bytes:
    """A second of speech and the silence after it."""
    return wire(silence(300), said("一二三四五六七"), silence(1500))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def audio_of(events: list[dict[str, Any]]) -> Pcm:
    """The audio of all deltas."""
    deltas = [e["delta"] for e in events if e["type"] == "response.output_audio.delta"]
    return np.frombuffer(b"".join(map(base64.b64decode, deltas)), "<i2")


def check_official(event: dict[str, Any]) -> None:
    """Names and fields are those of the official types; ours are marked by their prefix."""
    if event["type"].startswith("kuaimei."):
        return
    model = _OFFICIAL[event["type"]].model_validate(event)
    # The request types by which the official client reads a session have no id, the wire has.
    _no_extras(model, event["type"], known={"id", "object", "previous_item_id"})


def _no_extras(value: object, where: str, known: set[str]) -> None:
    if isinstance(value, BaseModel):
        assert set(value.model_extra or {}) <= known, f"{where}: {value.model_extra}"
        for name in type(value).model_fields:
            _no_extras(getattr(value, name), f"{where}.{name}", known)
    elif isinstance(value, list):
        for n, part in enumerate(value):
            _no_extras(part, f"{where}.{n}", known)


class Talk:
    """A raw client that checks everything it gets."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            event: dict[str, Any] = json.loads(await self.socket.recv())
        check_official(event)
        assert event["event_id"] not in {e["event_id"] for e in self.events}
        self.events.append(event)
        return event

    async def until(
        self, kind: str, found: Callable[[dict[str, Any]], bool] = lambda e: True
    ) -> dict[str, Any]:
        while not ((event := await self.next())["type"] == kind and found(event)):
            assert event["type"] != "error" or kind == "error", event
        return event

    async def error(self) -> dict[str, Any]:
        error: dict[str, Any] = (await self.until("error"))["error"]
        return error

    async def ask(self) -> None:
        """Say something and be silent."""
        data = question()
        for start in range(0, len(data), 9600):
            await self.send("input_audio_buffer.append", audio=b64(data[start : start + 9600]))

    @property
    def kinds(self) -> list[str]:
        """Types of the protocol's own events; of deltas only the first."""
        kinds = [e["type"] for e in self.events if not e["type"].startswith("kuaimei.")]
        return [k for n, k in enumerate(kinds) if not (k.endswith(".delta") and k in kinds[:n])]


@asynccontextmanager
async def talking(served: Served, query: str = "", **options: Any) -> AsyncIterator[Talk]:
    """A connection that has been greeted."""
    async with connect(
        served.socket_url + query, max_size=None, max_queue=None, compression=None, **options
    ) as socket:
        talk = Talk(socket)
        await talk.until("session.created")
        yield talk
