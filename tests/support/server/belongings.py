"""People, their keys and their voices, in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from kuaimei.errors import NotFound
from kuaimei.people.keys import digest, new_key, prefix_of
from kuaimei.store.keys import Key, ValidKey
from kuaimei.store.people import Forgetting, Person, Role
from kuaimei.store.utterance_record import LOCAL
from kuaimei.store.voices import VoiceRow

__all__ = ["MemoryKeys", "MemoryPeople", "MemoryVoices", "OneLibrary"]

_NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class MemoryPeople:
    """The local one, and whoever is added."""

    kept: dict[str, Person] = field(default_factory=lambda: {LOCAL: Person(LOCAL, LOCAL, "operator", _NOW)})
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def add(self, name: str, role: Role = "member") -> Person:
        person = Person(f"person_{len(self.kept)}", name, role, _NOW)
        self.kept[person.id] = person
        return person

    async def ensure(self, name: str) -> Person:
        found = [person for person in self.kept.values() if person.name == name]
        return found[0] if found else await self.add(name)

    async def all(self) -> Sequence[Person]:
        return [*self.kept.values()]

    async def get(self, person: str) -> Person:
        if person not in self.kept:
            raise NotFound(f"there is no person with the id {person}")
        return self.kept[person]

    async def accept_notice(self, person: str, version: str | None) -> Person:
        self.kept[person] = replace(await self.get(person), notice_version=version)
        return self.kept[person]

    async def begin_forgetting(self, person: str, what: Forgetting) -> Person:
        self.kept[person] = replace(await self.get(person), forgetting=what, notice_version=None)
        return self.kept[person]

    async def end_forgetting(self, person: str) -> None:
        self.kept[person] = replace(await self.get(person), forgetting=None)

    async def sessions_of(self, person: str, until: datetime | None = None) -> Sequence[str]:
        return []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
        async def told(timeout_s: float) -> None:
            await self.changed.wait()
            self.changed.clear()

        yield told


@dataclass
class MemoryKeys:
    """Keys of `MemoryPeople`."""

    people: MemoryPeople
    admitted: dict[str, ValidKey] = field(default_factory=dict)

    async def give(self, person: Person) -> str:
        """A key of that person's."""
        key = new_key()
        name = f"key_{len(self.admitted) + 1}"
        self.admitted[name] = ValidKey(name, digest(key), person)
        self.people.changed.set()
        return key

    def take(self, name: str) -> None:
        """The key of that id lets nobody in any more."""
        del self.admitted[name]
        self.people.changed.set()

    async def valid(self) -> Sequence[ValidKey]:
        return [*self.admitted.values()]

    async def note_use(self, used: Sequence[str]) -> None:
        pass

    async def all(self, person: str | None = None) -> Sequence[Key]:
        return [
            Key(one.key, one.person.id, "", prefix_of("km_" + 32 * "0"), _NOW, None, None)
            for one in self.admitted.values()
            if person in {None, one.person.id}
        ]


class MemoryVoices:
    """None."""

    async def all(self, owner: str | None = None, *, shared: bool = False) -> Sequence[VoiceRow]:
        return []

    async def file(self, voice: str, name: str) -> bytes:
        raise NotFound(f"{voice}/{name} is not kept")


@dataclass
class OneLibrary:
    """As `kuaimei.voices.library.VoiceLibrary` to whoever asks in which voices somebody may speak."""

    mine: set[str]
    context: Any = field(default_factory=lambda: SimpleNamespace(changed=[], withdrawn=[]))

    def may_use(self, voice: str, person: str) -> bool:
        return voice in self.mine
