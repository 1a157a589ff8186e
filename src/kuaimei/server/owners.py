"""What the server needs of people, their keys and their voices as they are kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from kuaimei.people.authentication import KeyRegister, PeopleRegister
from kuaimei.store.keys import Key
from kuaimei.store.people import Forgetting, Person
from kuaimei.store.voices import VoiceRow

__all__ = ["ClonedVoices", "KeyStore", "PeopleStore"]


class PeopleStore(PeopleRegister, Protocol):
    """To whom what is kept belongs (`kuaimei.store.people.PeopleStore`, whose words apply)."""

    async def get(self, person: str) -> Person:
        """One of them; `NotFound` if there is none."""
        ...

    async def accept_notice(self, person: str, version: str | None) -> Person:
        """The person agrees to the notice of that version."""
        ...

    async def begin_forgetting(self, person: str, what: Forgetting) -> Person:
        """Remember that what belongs to the person is to be deleted."""
        ...

    async def end_forgetting(self, person: str) -> None:
        """All of it is done."""
        ...

    async def sessions_of(self, person: str, until: datetime | None = None) -> Sequence[str]:
        """Ids of the person's sessions."""
        ...


class ClonedVoices(Protocol):
    """Cloned voices as they are kept (`kuaimei.store.voices.VoiceRepository`, whose words apply)."""

    async def all(self, owner: str | None = None, *, shared: bool = False) -> Sequence[VoiceRow]:
        """The newest first."""
        ...

    async def file(self, voice: str, name: str) -> bytes:
        """One of its files; `NotFound` if there is none."""
        ...


class KeyStore(KeyRegister, Protocol):
    """By which people come in (`kuaimei.store.keys.KeyStore`, whose words apply)."""

    async def all(self, person: str | None = None) -> Sequence[Key]:
        """The person's."""
        ...
