"""Authentication by key, with immediate effect when a key is revoked.

Keys are held in memory as digests, so that authentication needs no database query. Changes by other
processes, mainly the command line, arrive by notification; the tables are also polled every few seconds in
case a notification is lost.
"""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from kuaimei.errors import SettingsError, StoreError
from kuaimei.people.caller import LOCAL, OPEN, Caller
from kuaimei.people.keys import digest
from kuaimei.people.machine_key import ensure_machine_key, read_machine_key
from kuaimei.people.names import NameRefused, check_name
from kuaimei.settings import ServerSettings, Settings
from kuaimei.system.supervision import Supervisor

if TYPE_CHECKING:  # workers check keys, too, and have no store
    from kuaimei.store.keys import ValidKey
    from kuaimei.store.people import Person

__all__ = ["Authentication", "KeyRegister", "PeopleRegister"]

_log = logging.getLogger(__name__)

_POLL_S: Final = 5.0
"""Seconds after which a change is known whose notification was lost."""


class PeopleRegister(Protocol):
    """The part of `kuaimei.store.people.People` that is needed here."""

    async def all(self) -> Sequence["Person"]:
        """Return all people."""
        ...

    async def ensure(self, name: str) -> "Person":
        """Return the person of that name; create a member if there is none."""
        ...

    def listening(self) -> AbstractAsyncContextManager[Callable[[float], Awaitable[None]]]:
        """Subscribe to changes."""
        ...


class KeyRegister(Protocol):
    """The part of `kuaimei.store.keys.Keys` that is needed here."""

    async def valid(self) -> Sequence["ValidKey"]:
        """Return every valid key."""
        ...

    async def note_use(self, used: Sequence[str]) -> None:
        """Record that the keys with these ids were used just now."""
        ...


@dataclass(slots=True, eq=False)
class _Stay:
    caller: Caller
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Authentication:
    """Authenticates callers; used on the event loop only.

    Args:
        settings: The configured key, and whether a key is required.
        machine_key: The machine key; empty: there is none (yet).

    Attributes:
        ready: True once people's keys are known; before that, an unknown key may be valid.
    """

    def __init__(self, settings: ServerSettings, machine_key: str = "") -> None:
        given = settings.api_key.get_secret_value()
        self.ready = False
        self._open = settings.open
        self._configured = sha256(given.encode()).digest() if given else b""
        self._home: Path | None = None
        self._machine = digest(machine_key) if machine_key else ""
        self._local = Caller(LOCAL, LOCAL, "operator", "machine_key")
        self._keys: dict[str, Caller] = {}
        self._people: dict[str, Person] = {}
        self._register: PeopleRegister | None = None
        self._used: set[str] = set()
        self._stays: set[_Stay] = set()
        self._complaining = False

    @classmethod
    def of_machine(cls, settings: Settings) -> "Authentication":
        """Return the one for a server: accepts the machine key, created if no other access is configured.

        Blocks for a moment.

        Raises:
            SettingsError: If the key can be neither read nor created.
        """
        server = settings.server
        if server.open:
            return cls(server)
        configured = bool(server.api_key.get_secret_value())
        key = read_machine_key(settings.home) if configured else ensure_machine_key(settings.home)
        authentication = cls(server, key)
        authentication._home = settings.home
        return authentication

    def identify(self, presented: str) -> Caller | None:
        """Return the caller to whom the key belongs; None if it is unknown."""
        if self._open:
            return OPEN
        if not presented:
            return None
        raw = sha256(presented.encode("utf-8", "surrogatepass")).digest()
        # Digests have one length, so the comparison reveals nothing about the key's length.
        if self._configured and hmac.compare_digest(raw, self._configured):
            return replace(self._local, via="api_key")
        known = digest(presented)
        if self._machine and hmac.compare_digest(known, self._machine):
            return replace(self._local, key=self._machine)
        # The timing of a table lookup may reveal parts of the digest, but nothing about the key.
        caller = self._keys.get(known)
        if caller is not None:
            self._used.add(caller.key)
        return caller

    async def named(self, given: str) -> Caller:
        """Return the caller that a trusted proxy names; unknown names become members.

        Raises:
            NameRefused: If the name is not allowed.
            StoreError: If the database is not reachable.
        """
        name = check_name(given)
        if name == self._local.name:
            raise NameRefused(f"{name} is reserved for the holder of the machine key")
        person = self._people.get(name)
        if person is None or person.forgetting == "all":
            if self._register is None:  # nothing is stored, so people need no row
                return Caller(f"person_{digest(name)[:26]}", name, "member", "proxy")
            person = await self._register.ensure(name)
            self._people[name] = person
        if person.id == LOCAL:
            raise NameRefused(f"{name} is reserved for the holder of the machine key")
        return Caller(person.id, person.name, person.role, "proxy")

    @contextmanager
    def staying(self, caller: Caller) -> Iterator[asyncio.Event]:
        """Yield an event that is set as soon as ``caller`` loses access, for the length of the block."""
        stay = _Stay(caller)
        self._stays.add(stay)
        if not self._may_stay(caller):
            stay.ended.set()
        try:
            yield stay.ended
        finally:
            self._stays.discard(stay)

    @asynccontextmanager
    async def following(
        self, people: PeopleRegister | None, keys: KeyRegister | None, supervisor: Supervisor | None = None
    ) -> AsyncIterator[None]:
        """Follow people and keys of the store, for the length of the block.

        Args:
            people: None: nothing is stored, and there are no people with keys.
            keys: Likewise.
            supervisor: Runs the background task; None: a new one.

        Raises:
            StoreError: If the database is not reachable.
        """
        self._register = people
        await self._learn(people, keys)
        self.ready = True
        own = supervisor or Supervisor()
        own.start("people", lambda: self._follow(people, keys))
        try:
            yield
        finally:
            if supervisor is None:
                await own.close()

    async def _follow(self, people: PeopleRegister | None, keys: KeyRegister | None) -> None:
        while True:
            try:
                if people is None:
                    await asyncio.sleep(_POLL_S)
                    await self._learn(None, None)
                    continue
                async with people.listening() as changed:
                    while True:
                        await self._learn(people, keys)
                        self._complaining = False
                        await changed(_POLL_S)
            except StoreError as error:
                if not self._complaining:
                    _log.warning("changes to people and keys cannot be loaded now: %s", error)
                self._complaining = True
                await asyncio.sleep(_POLL_S)

    async def _learn(self, people: PeopleRegister | None, keys: KeyRegister | None) -> None:
        """Reload people and keys, and end the stay of callers that lost access."""
        if self._home is not None:
            await self._learn_machine_key(self._home)
        if people is not None and keys is not None:
            if self._used:
                used, self._used = [*self._used], set()
                await keys.note_use(used)
            admitted, everybody = await keys.valid(), await people.all()
            self._keys = {
                one.sha256: Caller(one.person.id, one.person.name, one.person.role, "key", one.key)
                for one in admitted
            }
            self._people = {person.name: person for person in everybody}
            local = next((person for person in everybody if person.id == LOCAL), None)
            if local is not None:
                self._local = replace(self._local, name=local.name)
        for stay in self._stays:
            if not self._may_stay(stay.caller):
                stay.ended.set()

    async def _learn_machine_key(self, home: Path) -> None:
        try:
            key = await asyncio.to_thread(read_machine_key, home)
        except SettingsError as error:
            _log.warning("%s: the previous key stays valid", error)
            return
        if key:
            self._machine = digest(key)

    def _may_stay(self, caller: Caller) -> bool:
        match caller.via:
            case "key":
                return any(known.key == caller.key for known in self._keys.values())
            case "machine_key":
                return caller.key == self._machine
            case "proxy" if self._register is not None:
                found = self._people.get(caller.name)
                return found is not None and found.id == caller.person and found.forgetting != "all"
            case _:
                return True
