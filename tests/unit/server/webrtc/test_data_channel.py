import asyncio
import json
from typing import Any

import pytest

from kuaimei.server.realtime.transport import Disconnected
from kuaimei.server.webrtc import data_channel as room
from kuaimei.server.webrtc.data_channel import DataChannel


class Wire:
    """A data channel's own side, as far as it matters here."""

    def __init__(self) -> None:
        self.bufferedAmount = 0
        self.bufferedAmountLowThreshold = 0
        self.sent: list[str] = []
        self.told: dict[str, Any] = {}

    def on(self, event: str, listener: Any) -> None:
        self.told[event] = listener

    def send(self, text: str) -> None:
        self.sent.append(text)


def attached() -> tuple[DataChannel, Wire]:
    channel, wire = DataChannel(), Wire()
    channel.attach(wire)  # type: ignore[arg-type]
    return channel, wire


async def test_what_came_before_the_end_is_still_read() -> None:
    channel, wire = attached()
    assert channel.opened.is_set()
    for message in ("a", b"\x00", "b"):
        wire.told["message"](message)
    wire.told["close"]()
    assert [await channel.receive() for _ in range(3)] == ["a", None, "b"]
    with pytest.raises(Disconnected):
        await channel.receive()
    with pytest.raises(Disconnected):
        await channel.send("c")


async def test_a_client_that_reads_slowly_is_waited_for() -> None:
    channel, wire = attached()
    await channel.send("a")
    wire.bufferedAmount = 2 * 1024 * 1024
    sending = asyncio.ensure_future(channel.send("b"))
    await asyncio.sleep(0)
    assert wire.sent == ["a"]
    wire.bufferedAmount = 0
    wire.told["bufferedamountlow"]()
    await sending
    assert wire.sent == ["a", "b"]


async def test_a_flood_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_INBOX_EVENTS", 3)
    channel, wire = attached()
    for _ in range(4):
        wire.told["message"]("x")
    assert [await channel.receive() for _ in range(3)] == ["x"] * 3
    with pytest.raises(Disconnected):
        await channel.receive()


async def test_the_last_word_is_waited_for_but_not_for_ever() -> None:
    channel, wire = attached()
    wire.bufferedAmount = 10
    await channel.send_last({"type": "kuaimei.goodbye"}, 0.05)
    assert json.loads(wire.sent[0])["type"] == "kuaimei.goodbye"
    wire.told["close"]()
    await channel.send_last({"type": "kuaimei.goodbye"}, 60.0)
