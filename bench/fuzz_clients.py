"""The fuzzer's clients: over WebSocket, over valid HTTP, and over malformed HTTP."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from bench.fuzz_inputs import Inputs

__all__ = ["CUT_OFF", "Findings", "Owner", "Route", "Target", "garbage", "requests", "talk"]

_PER_CONNECTION: Final = 2_500
_AT_ONCE: Final = 40
"""Events sent before waiting for an answer: more would only test the queues."""
_ANSWER_S: Final = 60.0
_NAMES: Final = ("id", "item_id", "response_id", "event_id", "session_id", "recording")
_DOCUMENTED: Final = frozenset(
    {"queue_full", "too_many_sessions", "webrtc_unavailable", "unavailable", "loading"}
)
"""Error codes with which a 502 or 503 may be answered."""
_BUSY: Final = "QueuePool limit"
"""Database error while more is to be stored than its disk takes."""
CUT_OFF: Final = 1006
"""Close code without a close frame: the server stops waiting for it after two seconds."""
_CLOSES: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1013})
"""Close codes with which the server may end a connection; 1011 means that it failed."""


@dataclass(frozen=True)
class Owner:
    """Owner with a key.

    Attributes:
        sentinel: A word contained in all of the owner's data.
    """

    name: str
    key: str
    sentinel: str


@dataclass
class Findings:
    """What was sent, and what went wrong.

    Attributes:
        sent: Numbers by kind.
        answers: Numbers of HTTP statuses, and of types and codes of events.
        faults: Violations, at most 50.
    """

    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of inputs sent."""
        return sum(self.sent.values())

    def fault(self, what: str) -> None:
        """Record a violation."""
        if len(self.faults) < 50:
            self.faults.append(what[:1000])


@dataclass(frozen=True)
class Route:
    """One method at one path.

    Attributes:
        example: A valid body, or None.
        form: The body is a form with a file.
        weight: Relative frequency.
    """

    method: str
    path: str
    path_names: tuple[str, ...]
    query_names: tuple[str, ...]
    example: Any = None
    form: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class Target:
    """Server under test.

    Attributes:
        going_on: Returns False when the clients should stop.
        behind: Returns True if the store has a large backlog: it is held in memory, which costs garbage
            collection and is not what is tested here.
    """

    port: int
    routes: Sequence[Route]
    audio: Sequence[str]
    findings: Findings
    going_on: Callable[[], bool]
    behind: Callable[[], bool]

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return f"http://127.0.0.1:{self.port}"


def _check(target: Target, data: bytes, me: Owner, others: Sequence[Owner], where: str) -> None:
    for other in others:
        if other.sentinel.encode() in data:
            target.findings.fault(f"{me.name} was told what {other.name} said, by {where}: {data[:400]!r}")


def _remember_names(inputs: Inputs, value: Any) -> None:
    """Remember the ids in an answer."""
    if isinstance(value, dict):
        for name in _NAMES:
            if isinstance(found := value.get(name), str):
                inputs.remember(found)
        for part in value.values():
            if isinstance(part, dict | list):
                _remember_names(inputs, part)
    elif isinstance(value, list):
        for part in value[:3]:
            _remember_names(inputs, part)


async def talk(target: Target, me: Owner, others: Sequence[Owner], inputs: Inputs) -> None:
    """Open connections one after the other, with thousands of events in each.

    Args:
        target: Server under test.
        me: Owner whose key is used.
        others: Owners whose data must not appear.
        inputs: Source of the inputs.
    """
    while target.going_on():
        query = ""
        if inputs.chance.random() < 0.3:
            query = f"?session={quote(inputs.name().encode('utf-8', 'replace'))}&takeover=true"
        try:
            async with connect(
                f"ws://127.0.0.1:{target.port}/v1/realtime{query}",
                additional_headers={"Authorization": f"Bearer {me.key}"},
                max_size=None,
                max_queue=None,
                compression=None,
                ping_interval=None,
            ) as socket:
                await _converse(socket, target, me, others, inputs)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else 1006
            target.findings.answers[f"closed {code}"] += 1
            if code not in _CLOSES and code != CUT_OFF:
                target.findings.fault(f"a connection was closed with {code}: {closed}")
        except (InvalidHandshake, OSError) as error:
            target.findings.answers[type(error).__name__] += 1


async def _converse(
    socket: ClientConnection, target: Target, me: Owner, others: Sequence[Owner], inputs: Inputs
) -> None:
    synced = asyncio.Event()

    async def read() -> None:
        async for frame in socket:
            data = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
            _check(target, data, me, others, "an event")
            event = json.loads(data)
            code = event.get("error", {}).get("code", "") if event["type"] == "error" else ""
            target.findings.answers[f"{event['type']} {code}".strip()] += 1
            if code == "internal_error":
                target.findings.fault(f"an event was answered with an internal error: {data[:300]!r}")
            if event.get("error", {}).get("event_id") == "sync":
                synced.set()
            if inputs.chance.random() < 0.05:
                _remember_names(inputs, event)

    reading = asyncio.ensure_future(read())
    try:
        for number in range(_PER_CONNECTION):
            if not target.going_on():
                break
            if not await _send_one(socket, target, inputs):
                # Sending more would make the network discard the server's close frame.
                await asyncio.wait((reading,), timeout=_ANSWER_S)
                return
            while target.behind():  # noqa: ASYNC110 - the store sends no notification
                await asyncio.sleep(0.05)
            if number % 4 == 0:
                await asyncio.sleep(0)  # sending alone never yields to the other clients
            if number % _AT_ONCE == 0 and not await _answered(socket, synced, reading):
                target.findings.fault(f"nothing was answered within {_ANSWER_S:g} s")
                return
            if reading.done():
                reading.result()
                return
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _answered(socket: ClientConnection, synced: asyncio.Event, reading: "asyncio.Task[None]") -> bool:
    """Wait until everything sent so far is processed; return False on a timeout."""
    synced.clear()
    await socket.send('{"type": "conversation.item.retrieve", "item_id": "-", "event_id": "sync"}')
    waiting = asyncio.ensure_future(synced.wait())
    done, _ = await asyncio.wait((waiting, reading), timeout=_ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return bool(done)


async def _send_one(socket: ClientConnection, target: Target, inputs: Inputs) -> bool:
    """Send one frame; return False if it ends the connection."""
    pick = inputs.chance.random()
    if pick < 0.985:
        target.findings.sent["event"] += 1
        await socket.send(inputs.event(target.audio))
    elif pick < 0.992:
        target.findings.sent["binary frame"] += 1
        await socket.send(inputs.random_bytes())
    elif pick < 0.997:
        target.findings.sent["fragmented frame"] += 1
        text = inputs.event(target.audio)
        await socket.send([text[: len(text) // 2], text[len(text) // 2 :]])
    elif pick < 0.9995:
        target.findings.sent["ping"] += 1
        await socket.ping(inputs.random_bytes(100))
    else:
        target.findings.sent["frame that is no text"] += 1
        # A text frame of bytes that are not UTF-8 ends a connection, by the protocol.
        await socket.send(b"\xff\xfe" + inputs.random_bytes(50), text=True)
        return False
    return True


async def requests(target: Target, me: Owner, others: Sequence[Owner], inputs: Inputs) -> None:
    """Send requests to all routes, with addresses, headers and bodies of all kinds.

    Args:
        target: Server under test.
        me: Owner whose key is used.
        others: Owners whose data must not appear.
        inputs: Source of the inputs.
    """
    weights = [route.weight for route in target.routes]
    async with httpx.AsyncClient(base_url=target.url, timeout=_ANSWER_S) as client:
        while target.going_on():
            (route,) = inputs.chance.choices(target.routes, weights)
            target.findings.sent[f"request {route.method}"] += 1
            try:
                answer = await client.send(_request(client, route, me, inputs))
            except httpx.InvalidURL:
                continue
            except httpx.TimeoutException:
                target.findings.fault(f"{route.method} {route.path} was not answered")
                continue
            except httpx.HTTPError as error:  # the server refused to read further, for instance
                target.findings.answers[type(error).__name__] += 1
                continue
            target.findings.answers[str(answer.status_code)] += 1
            _check(target, answer.content, me, others, f"{route.method} {route.path}")
            body: Any = None
            if answer.content and answer.headers.get("content-type", "").startswith("application/json"):
                body = answer.json()
                _remember_names(inputs, body)
            if answer.status_code >= 500:
                code = body.get("error", {}).get("code") if isinstance(body, dict) else None
                busy = code == "store" and _BUSY in answer.text
                if answer.status_code == 500 or not (busy or code in _DOCUMENTED):
                    target.findings.fault(f"{route.method} {answer.request.url}: {answer.text[:300]}")


def _request(client: httpx.AsyncClient, route: Route, me: Owner, inputs: Inputs) -> httpx.Request:
    chance = inputs.chance
    path = route.path
    for name in route.path_names:
        path = path.replace("{" + name + "}", quote(inputs.name().encode("utf-8", "replace")[:200], safe=""))
    query = "&".join(
        f"{name}={quote(str(inputs.value()).encode('utf-8', 'replace')[:500])}"
        for name in route.query_names
        if chance.random() < 0.4
    )
    headers = {"Authorization": f"Bearer {me.key}"}
    content: bytes | None = None
    more: dict[bytes, bytes] = {}
    if route.form:
        headers["Content-Type"] = "multipart/form-data; boundary=b"
        fields = {**(route.example or {}), inputs.text()[:9]: "x"}
        parts = [
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{inputs.text()}\r\n'
            for name in fields
        ]
        file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        content = "".join(parts).encode("utf-8", "replace") + file + inputs.random_bytes() + b"\r\n--b--\r\n"
    elif route.example is not None:
        headers["Content-Type"] = chance.choice(("application/json",) * 8 + ("text/plain", "application/sdp"))
        content = inputs.document(route.example).encode("utf-8", "replace")
    if chance.random() < 0.1:
        text = inputs.text().translate(_NO_BREAKS).encode("latin-1", "replace").strip()[:300]
        more = {chance.choice(_HEADERS).encode(): text}
    told = {name.encode(): value.encode() for name, value in headers.items()} | more
    method = route.method
    if chance.random() < 0.02:
        method = chance.choice(("HEAD", "PUT", "OPTIONS", "TRACE", "PATCH", "FOO"))
    address = f"{path}?{query}" if query else path
    return client.build_request(method, address, headers=told, content=content)


_HEADERS: Final = ("Range", "If-None-Match", "Accept", "x-kuaimei-session", "User-Agent", "Cookie")
_NO_BREAKS: Final = dict.fromkeys((*range(32), 127))


async def garbage(target: Target, me: Owner, inputs: Inputs) -> None:
    """Open connections and send malformed or non-HTTP data.

    Args:
        target: Server under test.
        me: Owner whose key is used.
        inputs: Source of the inputs.
    """
    heads = (
        b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{}",
        b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"POST /api/voices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        f"GET /api/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {me.key}\r\n\r\n".encode(),
    )
    while target.going_on():
        target.findings.sent["garbage"] += 1
        data = bytearray(inputs.chance.choice(heads) * inputs.chance.choice((1, 1, 2, 50)))
        for _ in range(inputs.chance.randrange(8)):
            data[inputs.chance.randrange(len(data))] = inputs.chance.randrange(256)
        if inputs.chance.random() < 0.3:
            data += inputs.random_bytes()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            writer.write(bytes(data))
            if inputs.chance.random() < 0.5:
                async with asyncio.timeout(0.02):
                    await reader.read(65_536)
        except (OSError, TimeoutError):
            pass
        else:
            writer.transport.abort()
            continue
        if "writer" in locals():
            writer.transport.abort()
        await asyncio.sleep(0)
