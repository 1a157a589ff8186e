import logging
from collections.abc import Callable

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket

from kuaimei.server.webrtc.jitter_buffer import shrink_jitter_buffer


def packet(number: int) -> RtpPacket:
    made = RtpPacket(sequence_number=number, timestamp=960 * number)
    made._data = bytes([number])  # type: ignore[attr-defined]  # as the receiver does
    return made


@pytest.fixture
async def through() -> Callable[..., list[int]]:
    """Numbers of the packets that get through a hastened receiver when those given have come."""
    receiver = RTCPeerConnection().addTransceiver("audio").receiver
    shrink_jitter_buffer(receiver)

    def come(*numbers: int) -> list[int]:
        buffer = receiver._RTCRtpReceiver__jitter_buffer  # type: ignore[attr-defined]
        frames = [buffer.add(packet(number))[1] for number in numbers]
        return [frame.data[0] for frame in frames if frame is not None]

    return come


async def test_a_packet_waits_for_the_next_one_only(through: Callable[..., list[int]]) -> None:
    assert through(1, 2) == [1]
    assert through(3, 4) == [2, 3]


async def test_packets_that_overtake_each_other_are_put_in_order(through: Callable[..., list[int]]) -> None:
    heard = through(1, 3, 2, 4, 5, 6, 7)
    assert heard == sorted(heard)
    assert heard[:3] == [1, 2, 3]


async def test_one_that_is_lost_is_soon_given_up(through: Callable[..., list[int]]) -> None:
    assert through(1, 2, 4, 5, 6, 7, 8)[-1] >= 5


def test_another_library_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        shrink_jitter_buffer(object())  # type: ignore[arg-type]
    assert "60 ms" in caplog.text
