"""Where the server listens, which keys there are, how a request comes: every combination, and its outcome.

Nothing here may depend on somebody remembering to set something: whatever is reachable by others needs a key.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from kuaimei.http.security import AuthMiddleware
from kuaimei.people.authentication import Authentication
from kuaimei.people.machine_key import FILE
from kuaimei.settings import ServerSettings, Settings
from tests.unit.server.guarding import ask, inside

KEY = "a-key-of-some-length"
PROXY = "10.0.0.7"


@dataclass(frozen=True)
class Cell:
    """One combination.

    Attributes:
        identity: Who sends the identity header: nobody, an allow-listed proxy, somebody else; empty: the
            setting is not made.
    """

    host: str
    key: str
    open: bool
    name: str
    forwarded: bool
    identity: str

    def settings(self, home: Path) -> Settings:
        proxied = {"identity_header": "X-User", "trusted_proxies": (PROXY,)} if self.identity else {}
        server = ServerSettings(
            host=self.host,
            api_key=SecretStr(self.key),
            open=self.open,
            allowed_hosts=(self.name,) if self.name else (),
            **proxied,
        )
        return Settings(home=home, server=server)

    @property
    def refused(self) -> bool:
        """The server must not start."""
        reachable = self.host == "0.0.0.0" or self.name == "voice.lan"
        return self.open and (reachable or bool(self.key) or bool(self.identity))

    @property
    def stranger(self) -> tuple[int, str]:
        """What somebody without any key gets: status, and as whom they come in."""
        if self.open:
            return (403, "") if self.forwarded else (200, "local open")
        if self.identity == "proxy":
            return 200, "anna proxy"
        return 401, ""


CELLS = [
    Cell(*values)
    for values in itertools.product(
        ("127.0.0.1", "0.0.0.0"),
        ("", KEY),
        (False, True),
        ("", "localhost", "voice.lan"),
        (False, True),
        ("", "nobody", "proxy", "somebody"),
    )
]


def test_the_matrix_is_whole() -> None:
    assert len(CELLS) == 2 * 2 * 2 * 3 * 2 * 4
    outcomes = {(cell.refused, *((0, "") if cell.refused else cell.stranger)) for cell in CELLS}
    assert outcomes == {
        (True, 0, ""),
        (False, 200, "local open"),
        (False, 403, ""),
        (False, 200, "anna proxy"),
        (False, 401, ""),
    }


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_every_cell(cell: Cell, tmp_path: Path) -> None:
    if cell.refused:
        with pytest.raises(ValidationError, match="KUAIMEI_SERVER__OPEN"):
            cell.settings(tmp_path)
        return
    settings = cell.settings(tmp_path)
    authentication = Authentication.of_machine(settings)
    guard = AuthMiddleware(inside, settings.server, authentication=authentication)
    headers = {"x_forwarded_for": "192.168.1.77"} if cell.forwarded else {}
    peer = "127.0.0.1"
    if cell.identity in {"proxy", "somebody"}:
        headers["x_user"] = "anna"
        peer = PROXY if cell.identity == "proxy" else "10.0.0.8"
    status, told = await ask(guard, peer=peer, **headers)
    who = told.decode()
    if who.startswith("person_"):
        who = f"anna {who.split()[1]}"
    assert (status, who if status == 200 else "") == cell.stranger

    # A key of its own is made exactly where no other way in was set.
    made = tmp_path / FILE
    assert made.exists() == (not cell.open and not cell.key)
    keys = {"machine_key": made.read_text().strip()} if made.exists() else {}
    if cell.key:
        keys["api_key"] = cell.key
    for via, key in keys.items():
        shown = await ask(guard, peer=peer, authorization=f"Bearer {key}", **headers)
        assert shown == (200, f"local {via}".encode())
        if cell.name:
            named = await ask(guard, peer=peer, host=cell.name, authorization=f"Bearer {key}", **headers)
            assert named[0] == 200
    wrong = await ask(guard, peer=peer, authorization="Bearer a-key-that-is-nobodys", **headers)
    assert wrong[0] == (cell.stranger[0])
