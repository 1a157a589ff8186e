"""The certificate that the server shows is kept as long as it is good, and made anew before it is not."""

import asyncio
import ipaddress
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kuaimei.server.https.authority import certificate_of
from kuaimei.server.https.certificate import ServerCertificate
from kuaimei.server.https.hostnames import Names
from tests.support.virtual_time import virtually

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


class Machine:
    """Its clock and its addresses."""

    def __init__(self) -> None:
        self.now = NOW
        self.names = Names(("box.local",), (ipaddress.IPv4Address("192.168.1.20"),))

    def move(self, address: str) -> None:
        """To another network."""
        self.names = Names(self.names.hosts, (ipaddress.IPv4Address(address),))

    def open(self, folder: Path) -> ServerCertificate:
        """As at the start of the server."""
        return ServerCertificate(folder, lambda: self.names, lambda: self.now)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "https"


def _serial(folder: Path) -> int:
    return certificate_of((folder / "server.pem").read_bytes()).serial_number


def test_it_is_kept_over_starts_for_its_owner_only(machine: Machine, folder: Path) -> None:
    machine.open(folder)
    serial = _serial(folder)
    machine.now += timedelta(days=300)
    machine.open(folder)
    assert _serial(folder) == serial
    assert sorted(file.name for file in folder.iterdir()) == ["authority.pem", "server.pem"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("days", [367, 400, -3])
def test_one_that_runs_out_or_does_not_hold_yet_is_made_anew(
    machine: Machine, folder: Path, days: int
) -> None:
    authority = machine.open(folder).authority
    serial = _serial(folder)
    machine.now += timedelta(days=days)
    assert machine.open(folder).authority.certificate == authority.certificate
    assert _serial(folder) != serial


def test_other_addresses_have_one_made_anew_but_fewer_do_not(machine: Machine, folder: Path) -> None:
    machine.open(folder)
    serial = _serial(folder)
    machine.names = Names((), ())
    machine.open(folder)
    assert _serial(folder) == serial
    machine.move("10.0.0.8")
    machine.open(folder)
    assert _serial(folder) != serial


@pytest.mark.parametrize("damage", [b"", b"nonsense", "cut", "of another authority"])
def test_one_that_is_damaged_or_of_another_authority_is_made_anew(
    machine: Machine, folder: Path, damage: bytes | str
) -> None:
    machine.open(folder)
    kept = folder / "server.pem"
    if damage == "of another authority":
        machine.open(folder.with_name("other"))
        damage = (folder.with_name("other") / "server.pem").read_bytes()
    elif damage == "cut":
        damage = kept.read_bytes()[:-200]
    assert isinstance(damage, bytes)
    kept.write_bytes(damage)
    machine.open(folder)
    assert kept.read_bytes() != damage
    certificate_of(kept.read_bytes()).verify_directly_issued_by(machine.open(folder).authority.certificate)


def test_names_that_the_authority_may_not_vouch_for_are_left_out_and_said(
    machine: Machine, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.open(folder)
    machine.names = Names(("box.local", "voice.example.com"), ())
    certificate = machine.open(folder)
    assert certificate.names.hosts == ("box.local",)
    assert "voice.example.com" in caplog.text


def test_an_authority_that_ends_soon_does_not_have_it_made_anew_for_ever(
    machine: Machine, folder: Path
) -> None:
    machine.open(folder)
    machine.now += timedelta(days=3650 - 20)
    machine.open(folder)
    serial = _serial(folder)
    machine.now += timedelta(days=1)
    machine.open(folder)
    assert _serial(folder) == serial


@virtually
async def test_while_the_server_runs_it_is_looked_after(machine: Machine, folder: Path) -> None:
    certificate = machine.open(folder)
    serial = _serial(folder)
    tending = asyncio.ensure_future(certificate.tend())
    await asyncio.sleep(86_400)
    assert _serial(folder) == serial
    machine.move("10.0.0.8")
    await asyncio.sleep(86_400)
    assert _serial(folder) != serial
    assert ipaddress.IPv4Address("10.0.0.8") in certificate.names.addresses
    serial = _serial(folder)
    machine.now += timedelta(days=380)
    await asyncio.sleep(86_400)
    assert _serial(folder) != serial
    tending.cancel()
    with suppress(asyncio.CancelledError):
        await tending
