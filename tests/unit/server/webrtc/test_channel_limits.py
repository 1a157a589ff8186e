import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtcsctptransport import (
    SCTP_DATA_FIRST_FRAG,
    SCTP_DATA_LAST_FRAG,
    WEBRTC_BINARY,
    WEBRTC_DCEP,
    WEBRTC_STRING,
    DataChunk,
    RTCSctpTransport,
)

from kuaimei.server.webrtc.channel_limits import bound


class Association:
    """The server's end, into which fragments are put as if they came over the network."""

    def __init__(self) -> None:
        self.ended = 0
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = peer.createDataChannel("oai-events")
        assert peer.sctp is not None
        self.sctp: RTCSctpTransport = peer.sctp
        self.sctp._inbound_streams_count = 65535
        self.sctp._data_channels[1] = self.channel
        self.sctp._last_received_tsn = 0
        self.messages: list[bytes] = []
        bound(self.sctp, self._end)
        self._tsn = 0
        self._sequence: dict[int, int] = {}

    def _end(self) -> None:
        self.ended += 1

    async def fragment(
        self,
        data: bytes,
        *,
        first: bool = False,
        last: bool = False,
        kind: int = WEBRTC_BINARY,
        stream: int = 1,
    ) -> None:
        self._tsn += 1
        chunk = DataChunk()
        chunk.tsn, chunk.stream_id, chunk.protocol, chunk.user_data = self._tsn, stream, kind, data
        chunk.stream_seq = self._sequence.get(stream, 0)
        chunk.flags = first * SCTP_DATA_FIRST_FRAG | last * SCTP_DATA_LAST_FRAG
        if last:
            self._sequence[stream] = chunk.stream_seq + 1
        await self.sctp._receive_data_chunk(chunk)

    @property
    def held(self) -> int:
        return sum(
            len(chunk.user_data)
            for stream in self.sctp._inbound_streams.values()
            for chunk in stream.reassembly
        )


@pytest.fixture
async def association() -> Association:
    return Association()


async def test_a_message_without_an_end_is_not_gathered_for_ever(association: Association) -> None:
    await association.fragment(b"x" * 1000, first=True)
    for _ in range(3000):
        await association.fragment(b"x" * 1000)
    assert association.ended == 1
    assert association.held <= 256 * 1024


async def test_nor_are_crumbs(association: Association) -> None:
    for stream in range(3000):
        await association.fragment(b"x", first=True, stream=stream % 500)
    assert association.ended == 1
    assert association.held <= 1024


async def test_what_is_whole_does_not_count(association: Association) -> None:
    for _ in range(500):
        await association.fragment(b"x" * 1000, first=True)
        await association.fragment(b"x" * 1000)
        await association.fragment(b"x" * 1000, last=True)
    assert (association.ended, association.held) == (0, 0)


async def test_text_that_is_no_text_ends_nothing(association: Association) -> None:
    heard: list[str | bytes] = []
    association.channel.on("message", heard.append)
    data = b'{"a": "\xff\xed\xa0\x80"}'
    await association.fragment(data, first=True, last=True, kind=WEBRTC_STRING)
    assert association.ended == 0
    assert heard


async def test_channels_without_end(association: Association) -> None:
    opening = b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00x"
    for stream in range(1, 200, 2):
        await association.fragment(opening, first=True, last=True, kind=WEBRTC_DCEP, stream=stream)
    assert association.ended == 1
    assert len(association.sctp._data_channels) < 30


@pytest.mark.parametrize("data", [b"\x02", b"\x03", b"\x03" * 12, b"\x03" + b"\xff" * 40])
async def test_a_handshake_that_is_none(association: Association, data: bytes) -> None:
    await association.fragment(data, first=True, last=True, kind=WEBRTC_DCEP, stream=7)
    assert association.ended <= 1
