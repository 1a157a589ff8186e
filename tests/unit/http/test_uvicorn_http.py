"""What a stranger cannot make one connection do, on virtual time and without a network."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from uvicorn.server import ServerState

from kuaimei.http.connection_limits import ConnectionRegistry
from kuaimei.http.uvicorn_http import BoundedHttp, HttpConfig

OnVirtualTime = Callable[[Coroutine[Any, Any, None]], None]


@dataclass
class FakeTransport(asyncio.Transport):
    """Notes what is written, and whether it is closed."""

    address: str = "192.0.2.1"
    sent: bytearray = field(default_factory=bytearray)
    closing: bool = False
    paused: bool = False
    protocol: Any = None

    def __post_init__(self) -> None:
        super().__init__()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": (self.address, 4000), "sockname": ("192.0.2.9", 8000)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            self.protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def _reads(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body to its end and says how long it was."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message["more_body"]:
            break
    data = str(size).encode()
    headers = [(b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _refuses(scope: Any, receive: Any, send: Any) -> None:
    """Answers without having read anything."""
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Peer:
    """One connection to a server with that application."""

    def __init__(
        self, app: Any = _reads, registry: ConnectionRegistry | None = None, address: str = "192.0.2.1"
    ) -> None:
        self.registry = registry if registry is not None else ConnectionRegistry(10, 10)
        self.state = ServerState()
        config = HttpConfig(app, self.registry, lifespan="off")
        config.load()
        self.transport = FakeTransport(address)
        self.protocol = BoundedHttp(config, self.state, {})
        self.transport.protocol = self.protocol
        self.protocol.connection_made(self.transport)

    @property
    def open(self) -> bool:
        return not self.transport.closing

    async def send(self, data: bytes) -> None:
        if self.open and not self.transport.paused:
            self.protocol.data_received(data)
        await asyncio.sleep(0)

    async def end(self) -> None:
        """Nothing is left over."""
        self.transport.abort()
        await asyncio.gather(*self.state.tasks, return_exceptions=True)
        assert not len(self.registry)


def test_a_silent_connection_is_closed(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        peer = Peer()
        await asyncio.sleep(9.9)
        assert peer.open
        await asyncio.sleep(0.2)
        assert not peer.open
        await peer.end()

    on_virtual_time(run())


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"])
@pytest.mark.parametrize("trickle", [b"\r\n", b"G", b"GET / HTTP/1.1\r\n"])
def test_headers_have_their_time_and_no_more(
    on_virtual_time: OnVirtualTime, before: bytes, trickle: bytes
) -> None:
    """However often a byte comes; of a first request and of a later one."""

    async def run() -> None:
        peer = Peer()
        await peer.send(before)
        await asyncio.sleep(1)
        if before:
            assert peer.transport.sent.startswith(b"HTTP/1.1 200")
        await peer.send(trickle)
        for n in range(20):
            await asyncio.sleep(1)
            await peer.send(b"\r\n" if trickle == b"\r\n" else b"a: b\r\n"[n % 6 : n % 6 + 1])
        assert not peer.open
        await peer.end()

    on_virtual_time(run())


def test_a_patient_client_keeps_its_connection(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        peer = Peer()
        for n in range(5):
            await peer.send(b"GET / HTTP/1.1\r\nhost: x\r\n")
            await asyncio.sleep(8)
            await peer.send(b"\r\n")
            await asyncio.sleep(0.1)
            assert peer.transport.sent.count(b"HTTP/1.1 200") == n + 1
        assert peer.open
        await asyncio.sleep(6)  # uvicorn's own patience between two requests
        assert not peer.open
        await peer.end()

    on_virtual_time(run())


@pytest.mark.parametrize(
    "endless", [b"a: " + b"b" * 1000 + b"\r\n", b"a: b\r\n", b"x" * 1000], ids=["long", "many", "one"]
)
def test_headers_are_bounded(on_virtual_time: OnVirtualTime, endless: bytes) -> None:
    async def run() -> None:
        peer = Peer()
        await peer.send(b"GET / HTTP/1.1\r\n")
        sent = 0
        while peer.open:
            await peer.send(endless)
            sent += len(endless)
            assert sent < 40_000
        assert peer.transport.sent.startswith(b"HTTP/1.1 400")
        await peer.end()

    on_virtual_time(run())


def test_a_flood_of_requests_at_once_is_refused(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        peer = Peer()
        await peer.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 8)
        await asyncio.sleep(0.1)
        assert peer.transport.sent.count(b"HTTP/1.1 200") == 8
        assert peer.open
        await peer.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 5000)
        assert not peer.open
        await peer.end()

    on_virtual_time(run())


def test_a_body_that_trickles_is_given_up(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        peer = Peer()
        await peer.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
        for _ in range(29):
            await asyncio.sleep(1)
            await peer.send(b"x")
        assert peer.open
        for _ in range(10):
            await asyncio.sleep(1)
            await peer.send(b"x")
        assert not peer.open
        await peer.end()

    on_virtual_time(run())


def test_a_slow_upload_is_taken(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        peer = Peer()
        await peer.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 6000000\r\n\r\n")
        for _ in range(120):
            await asyncio.sleep(1)
            await peer.send(b"x" * 50_000)
        await asyncio.sleep(0.1)
        assert peer.transport.sent.endswith(b"6000000")
        await peer.end()

    on_virtual_time(run())


def test_who_is_not_read_has_all_the_time(on_virtual_time: OnVirtualTime) -> None:
    """An upload waits at a gate: the server does not read it, and must not blame the client for that."""

    async def run() -> None:
        turn = asyncio.Event()

        async def waits(scope: Any, receive: Any, send: Any) -> None:
            await turn.wait()
            await _reads(scope, receive, send)

        peer = Peer(waits)
        await peer.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n")
        await peer.send(b"x" * 100_000)
        assert peer.transport.paused
        await asyncio.sleep(600)
        assert peer.open
        turn.set()
        await asyncio.sleep(0.1)
        await peer.send(b"x" * 100_000)
        await asyncio.sleep(0.1)
        assert peer.transport.sent.endswith(b"200000")
        await peer.end()

    on_virtual_time(run())


def test_who_was_refused_may_not_go_on_sending(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        peer = Peer(_refuses)
        await peer.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
        for _ in range(40):
            await asyncio.sleep(0.2)
            await peer.send(b"x" * 60_000)
        assert peer.transport.sent.startswith(b"HTTP/1.1 401")
        assert not peer.open
        await peer.end()

    on_virtual_time(run())


def test_who_does_not_take_the_answer_is_given_up(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        async def streams(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await receive()
            await receive()

        peer = Peer(streams)
        await peer.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        peer.protocol.pause_writing()
        await asyncio.sleep(50)
        peer.protocol.resume_writing()
        peer.protocol.pause_writing()
        await asyncio.sleep(59)
        assert peer.open
        await asyncio.sleep(2)
        assert not peer.open
        await peer.end()

    on_virtual_time(run())


def test_one_address_does_not_take_all_places(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        registry = ConnectionRegistry(10, 3)
        peers = [Peer(registry=registry, address="192.0.2.1") for _ in range(5)]
        assert [peer.open for peer in peers] == [True, True, True, False, False]
        others = [Peer(registry=registry, address=f"192.0.2.{n}") for n in range(2, 6)]
        own = [Peer(registry=registry, address=address) for address in ("127.0.0.1", "::1", "127.0.0.1")]
        assert all(peer.open for peer in (*others, *own))
        for peer in (*peers, *others, *own):
            peer.transport.abort()
        assert not len(registry)

    on_virtual_time(run())


def test_the_one_that_asked_for_nothing_makes_way(
    on_virtual_time: OnVirtualTime, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        registry = ConnectionRegistry(3, 3)
        busy = Peer(registry=registry)
        await busy.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
        silent = [Peer(registry=registry, address=f"192.0.2.{n}") for n in (2, 3)]
        third = Peer(registry=registry, address="192.0.2.4")
        assert [one.open for one in (busy, *silent, third)] == [True, False, True, True]
        # Who has its answer makes way, too, when nobody has waited longer.
        for one in (silent[1], third):
            await one.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        fourth = Peer(registry=registry, address="192.0.2.6")
        assert [one.open for one in (busy, silent[1], third, fourth)] == [True, False, True, True]
        for one in (third, fourth):
            await one.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
        assert not Peer(registry=registry, address="192.0.2.5").open
        assert len(registry) == 3
        for one in (busy, *silent, third, fourth):
            one.transport.abort()
            await asyncio.gather(*one.state.tasks, return_exceptions=True)

    on_virtual_time(run())
    assert len(caplog.records) == 1  # and not one for each
