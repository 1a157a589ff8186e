"""Protocols of the stores for people, their keys and their cloned voices."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from kuaimei.people.authentication import KeyRegister, PeopleRegister
from kuaimei.store.keys import Key
from kuaimei.store.people import Forgetting, Person
from kuaimei.store.voices import VoiceRow

__all__ = ["ClonedVoices", "KeyStore", "PeopleStore"]


class PeopleStore(PeopleRegister, Protocol):
    """People, who own everything that is stored. See `kuaimei.store.people.People`."""

    async def get(self, person: str) -> Person:
        """Return the person with that id; `NotFound` if there is none."""
        ...

    async def accept_notice(self, person: str, version: str | None) -> Person:
        """Record that the person accepts that version of the notice."""
        ...

    async def begin_forgetting(self, person: str, what: Forgetting) -> Person:
        """Mark the person's data for deletion."""
        ...

    async def end_forgetting(self, person: str) -> None:
        """Complete the deletion that `begin_forgetting` marked."""
        ...

    async def sessions_of(self, person: str, until: datetime | None = None) -> Sequence[str]:
        """Return the ids of the person's sessions."""
        ...


class ClonedVoices(Protocol):
    """Database rows and files of cloned voices. See `kuaimei.store.voices.VoiceRepository`."""

    async def all(self, owner: str | None = None, *, shared: bool = False) -> Sequence[VoiceRow]:
        """Return the voices, newest first."""
        ...

    async def file(self, voice: str, name: str) -> bytes:
        """Return one file of the voice; `NotFound` if there is none."""
        ...


class KeyStore(KeyRegister, Protocol):
    """API keys of people. See `kuaimei.store.keys.Keys`."""

    async def all(self, person: str | None = None) -> Sequence[Key]:
        """Return the person's keys."""
        ...
