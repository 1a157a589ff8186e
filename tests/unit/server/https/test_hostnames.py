"""What the certificate vouches for: everything under which the server can be reached, and nothing more."""

import ipaddress
import socket
from types import SimpleNamespace

import psutil  # type: ignore[import-untyped]
import pytest

from kuaimei.server.https.hostnames import Names, names_of
from kuaimei.settings import ServerSettings

_ORIGIN = "https://Talk.lan:8443"


def _interfaces(*addresses: str) -> dict[str, list[SimpleNamespace]]:
    families = {address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses}
    found = [SimpleNamespace(family=family, address=address) for address, family in families.items()]
    return {"eth0": [*found, SimpleNamespace(family=psutil.AF_LINK, address="aa:bb:cc:dd:ee:ff")]}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    interfaces = _interfaces(
        "127.0.0.1", "192.168.1.20", "10.0.0.3", "fe80::1%eth0", "fd00::5", "169.254.3.4"
    )
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: interfaces)
    monkeypatch.setattr(socket, "gethostname", lambda: "Box.Office.example.")


def test_on_loopback_only_what_leads_there() -> None:
    names = names_of(ServerSettings(host="127.0.0.1", allowed_hosts=("Voice.LAN", "10.9.9.9", _ORIGIN)))
    assert names.hosts == ("voice.lan", "talk.lan", "localhost")
    assert [str(one) for one in names.addresses] == ["10.9.9.9", "127.0.0.1", "::1"]


def test_beyond_it_every_name_and_address_of_the_machine() -> None:
    names = names_of(ServerSettings(host="0.0.0.0", allowed_hosts=("voice.lan",)))
    assert names.hosts == ("box.local", "box.office.example", "box", "voice.lan", "localhost")
    assert [str(one) for one in names.addresses] == [
        "10.0.0.3",
        "192.168.1.20",
        "fd00::5",
        "127.0.0.1",
        "::1",
    ]


def test_the_address_that_is_listened_on_comes_first() -> None:
    assert str(names_of(ServerSettings(host="192.168.1.20")).addresses[0]) == "192.168.1.20"
    assert names_of(ServerSettings(host="voice.lan")).hosts[0] == "voice.lan"


def test_names_that_are_none_are_left_out_and_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "快美 box")
    many = _interfaces(*(f"10.0.{n // 256}.{n % 256}" for n in range(1, 500)))
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: many)
    names = names_of(ServerSettings(host="0.0.0.0", allowed_hosts=("under_score",)))
    assert names.hosts == ("localhost",)
    assert len(names.addresses) == 66


def test_more_names_cover_fewer() -> None:
    one = Names(("a", "b"), (ipaddress.IPv4Address("10.0.0.1"),))
    assert one.covers(Names(("b",), ()))
    assert not one.covers(Names(("c",), ()))
    assert not one.covers(Names((), (ipaddress.IPv4Address("10.0.0.2"),)))
