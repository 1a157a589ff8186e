import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from kuaimei.server.webrtc.sdp import CANDIDATES_LIMIT, validate_offer


@pytest.fixture
async def offer() -> str:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio")
    peer.createDataChannel("oai-events")
    await peer.setLocalDescription(await peer.createOffer())
    lines = [line for line in peer.localDescription.sdp.splitlines() if not line.startswith("a=candidate")]
    await peer.close()
    return "\r\n".join(lines) + "\r\n"


def candidates(sdp: str) -> list[str]:
    return [line.split()[4] for line in sdp.splitlines() if line.startswith("a=candidate:")]


def with_candidates(offer: str, *hosts: str, port: int = 50_000, transport: str = "udp") -> str:
    lines = [
        f"a=candidate:{n} 1 {transport} 2130706431 {host} {port} typ host\r\n" for n, host in enumerate(hosts)
    ]
    head, mark, rest = offer.partition("a=ice-ufrag")
    return head + "".join(lines) + mark + rest


def test_there_are_not_more_than_a_client_can_have(offer: str) -> None:
    hosts = [f"192.0.2.{n % 250 + 1}" for n in range(900)]
    assert len(candidates(validate_offer(with_candidates(offer, *hosts)))) == CANDIDATES_LIMIT


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1.2.3",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "0.0.0.0",
        "::",
        "intranet",
        "a3b1.local",
        "1.2.3",
    ],
)
def test_nothing_is_sent_where_no_client_can_be(offer: str, host: str) -> None:
    assert candidates(validate_offer(with_candidates(offer, host, "192.168.1.7"))) == ["192.168.1.7"]


@pytest.mark.parametrize("host", ["192.168.1.7", "10.0.0.1", "8.8.8.8", "2001:4860:4860::8888", "fd00::1"])
def test_other_machines_are_called(offer: str, host: str) -> None:
    assert candidates(validate_offer(with_candidates(offer, host))) == [host]
    assert not candidates(validate_offer(with_candidates(offer, host, port=53)))
    assert not candidates(validate_offer(with_candidates(offer, host, port=70_000)))
    assert not candidates(validate_offer(with_candidates(offer, host, transport="tcp")))


def test_a_server_on_this_machine_alone_calls_this_machine(offer: str) -> None:
    assert candidates(validate_offer(with_candidates(offer, "127.0.0.1"), loopback=True)) == ["127.0.0.1"]
    assert not candidates(validate_offer(with_candidates(offer, "169.254.1.1"), loopback=True))
