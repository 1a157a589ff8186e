"""Lets people in by their keys, and out again at once when a key is revoked.

Keys are held in memory as digests, so that letting somebody in costs no question to the database; what other
processes change, the command line above all, is heard of by notification, and asked for every few seconds in
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

if TYPE_CHECKING:  # a worker asks for keys, too, and has no store
    from kuaimei.store.keys import ValidKey
    from kuaimei.store.people import Person

__all__ = ["Entrance", "KeyRegister", "PeopleRegister"]

_log = logging.getLogger(__name__)

_POLL_S: Final = 5.0
"""A change whose notification was lost is known after so long."""


class PeopleRegister(Protocol):
    """Of `kuaimei.store.people.People`, whose words apply."""

    async def all(self) -> Sequence["Person"]:
        """Everybody."""
        ...

    async def ensure(self, name: str) -> "Person":
        """Whoever has that name; made if nobody has."""
        ...

    def listening(self) -> AbstractAsyncContextManager[Callable[[float], Awaitable[None]]]:
        """Hear of changes."""
        ...


class KeyRegister(Protocol):
    """Of `kuaimei.store.keys.Keys`, whose words apply."""

    async def valid(self) -> Sequence["ValidKey"]:
        """Every key that lets somebody in."""
        ...

    async def note_use(self, used: Sequence[str]) -> None:
        """The keys of these ids were used just now."""
        ...


@dataclass(slots=True, eq=False)
class _Stay:
    caller: Caller
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Entrance:
    """Who may come in; used on the event loop only.

    Args:
        settings: The configured key, and whether any is asked for.
        machine_key: The machine's own; empty: there is none (yet).

    Attributes:
        ready: People's keys are known; before that, a key that nobody knows may be somebody's.
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
    def of_machine(cls, settings: Settings) -> "Entrance":
        """That of a server: the machine's own key lets in, and is made if no other way in is set.

        Blocks for a moment.

        Raises:
            SettingsError: If the key can be neither read nor made.
        """
        server = settings.server
        if server.open:
            return cls(server)
        configured = bool(server.api_key.get_secret_value())
        key = read_machine_key(settings.home) if configured else ensure_machine_key(settings.home)
        entrance = cls(server, key)
        entrance._home = settings.home
        return entrance

    def identify(self, presented: str) -> Caller | None:
        """Whose key was presented; None: nobody's."""
        if self._open:
            return OPEN
        if not presented:
            return None
        raw = sha256(presented.encode("utf-8", "surrogatepass")).digest()
        # Digests are of one length, so the comparison tells nothing about the key's.
        if self._configured and hmac.compare_digest(raw, self._configured):
            return replace(self._local, via="api_key")
        known = digest(presented)
        if self._machine and hmac.compare_digest(known, self._machine):
            return replace(self._local, key=self._machine)
        # Finding a digest in a table tells how much of the digest was right, and of the key nothing.
        caller = self._keys.get(known)
        if caller is not None:
            self._used.add(caller.key)
        return caller

    async def named(self, given: str) -> Caller:
        """Who a trusted proxy says that it is; made a member at first sight.

        Raises:
            NameRefused: If nobody can have that name.
            StoreError: If the database is away.
        """
        name = check_name(given)
        if name == self._local.name:
            raise NameRefused(f"{name} is whoever holds the machine's own key: nobody else can be that")
        person = self._people.get(name)
        if person is None or person.forgetting == "all":
            if self._register is None:  # nothing is kept here, so nothing belongs to anybody
                return Caller(f"person_{digest(name)[:26]}", name, "member", "proxy")
            person = await self._register.ensure(name)
            self._people[name] = person
        if person.id == LOCAL:
            raise NameRefused(f"{name} is whoever holds the machine's own key: nobody else can be that")
        return Caller(person.id, person.name, person.role, "proxy")

    @contextmanager
    def staying(self, caller: Caller) -> Iterator[asyncio.Event]:
        """For the length of the block: an event that is set as soon as ``caller`` may not stay."""
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
        """Let people in by what is kept of them, for the length of the block.

        Args:
            people: None: nothing is kept, and there are no people beside whoever runs the server.
            keys: Likewise.
            supervisor: Of what goes on in the background; None: one of its own.

        Raises:
            StoreError: If the database is away.
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
                    _log.warning("who may come in is not followed now: %s", error)
                self._complaining = True
                await asyncio.sleep(_POLL_S)

    async def _learn(self, people: PeopleRegister | None, keys: KeyRegister | None) -> None:
        """Who may come in now; whoever may not any more goes."""
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
            _log.warning("%s: the one that was known goes on letting in", error)
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
