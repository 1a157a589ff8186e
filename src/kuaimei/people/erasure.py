"""Deletes everything that belongs to a person, and says what is left.

That it is to be done is remembered first (`kuaimei.store.people.People.begin_forgetting`): what a crash cuts
off is gone on with at the next start. What is deleted is deleted as if the person did it one by one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from kuaimei.errors import Conflict, KuaimeiError, NotFound, StoreError
from kuaimei.people.erasure_check import Needles, search_files
from kuaimei.store.erasure_check import Leftover
from kuaimei.store.people import Forgetting, Person
from kuaimei.store.voices import VoiceRow

__all__ = ["Belongings", "Forgotten", "forget", "forget_marked", "search"]

_log = logging.getLogger(__name__)

_PASSES: Final = 5
"""What is being said meanwhile is found the next time."""
_MOMENT_S: Final = 2.0


class _People(Protocol):
    async def all(self) -> Sequence[Person]: ...

    async def get(self, person: str) -> Person: ...

    async def begin_forgetting(self, person: str, what: Forgetting) -> Person: ...

    async def end_forgetting(self, person: str) -> None: ...

    async def sessions_of(self, person: str, until: datetime | None = None) -> Sequence[str]: ...


class _Voices(Protocol):
    async def all(self, owner: str | None = None, *, shared: bool = False) -> Sequence[VoiceRow]: ...


class _Judgements(Protocol):
    async def forget(self, owner: str) -> None: ...


class Belongings(Protocol):
    """Of `kuaimei.store.Store`, whose words apply."""

    @property
    def people(self) -> _People:
        """Whose it is."""
        ...

    @property
    def voices(self) -> _Voices:
        """Which are cloned."""
        ...

    @property
    def preferences(self) -> _Judgements:
        """What listeners preferred."""
        ...

    @property
    def ratings(self) -> _Judgements:
        """How listeners rated."""
        ...

    async def delete_session(self, session: str) -> bool:
        """All of it; False: that goes on."""
        ...

    async def unfinished_deletions(self, owner: str) -> int:
        """How many deletions of what was this person's go on."""
        ...

    async def forget_waiting(self, owner: str) -> None:
        """What waits to be kept."""
        ...

    async def renew_statistics(self) -> None:
        """What the database remembers of what was in it."""
        ...

    async def names_of(self, owner: str, until: datetime | None = None) -> Sequence[str]:
        """Ids of everything that belongs to the person."""
        ...

    async def sentences_of(
        self, owner: str, until: datetime | None = None, limit: int = 200
    ) -> Sequence[str]:
        """Sentences that only this person's sessions hold."""
        ...

    async def leftovers(self, names: Sequence[str], sentences: Sequence[str]) -> Sequence[Leftover]:
        """Where something is still named or said."""
        ...


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was done.

    Attributes:
        sessions: How many were deleted.
        voices: How many were deleted.
        searched: Every place that was looked into afterwards.
    """

    sessions: int
    voices: int
    searched: tuple[Leftover, ...]

    @property
    def left(self) -> tuple[Leftover, ...]:
        """Places in which something was found that should be gone."""
        return tuple(place for place in self.searched if place.found)


async def forget(
    store: Belongings,
    person: str,
    what: Forgetting,
    *,
    erase_voice: Callable[[str], Awaitable[object]],
    home: Path,
) -> Forgotten:
    """Delete what belongs to the person, with ``all`` the person as well; then look for it everywhere.

    Of somebody who stays, sessions and voices stay that they begin after they asked for it.

    Args:
        store: Where it is kept.
        person: Id.
        what: ``things`` or ``all``.
        erase_voice: Deletes one voice with everything derived from it.
        home: The data folder, which is searched.

    Raises:
        NotFound: If there is nobody of that id.
        StoreError: If a part could not be deleted; it is gone on with by itself while a server runs.
    """
    everything = what == "all"
    if everything:  # with the keys, which go at once
        names = await store.names_of(person)
    marked = await store.people.begin_forgetting(person, what)
    until = None if everything else marked.forgetting_since
    if not everything:
        names = await store.names_of(person, until)
    sentences = await store.sentences_of(person, until)
    await store.forget_waiting(person)
    gone_sessions: set[str] = set()
    gone_voices: set[str] = set()
    for _ in range(_PASSES):
        found = [s for s in await store.people.sessions_of(person, until) if s not in gone_sessions]
        kept = [row for row in await store.voices.all(person) if until is None or row.created_at <= until]
        cloned = [row.id for row in kept if row.id not in gone_voices]
        if not found and not cloned:
            break
        for session in found:
            with suppress(NotFound):
                await store.delete_session(session)
            gone_sessions.add(session)
        for voice in cloned:
            with suppress(NotFound):
                await erase_voice(voice)
            gone_voices.add(voice)
    if going_on := await store.unfinished_deletions(person):
        raise StoreError(
            f"{going_on} of their sessions and voices cannot be deleted wholly now; a server that runs goes "
            "on with them by itself: see its log, and ask again"
        )
    await store.preferences.forget(person)
    await store.ratings.forget(person)
    await _renew_statistics(store)
    await store.people.end_forgetting(person)
    if everything:
        await _renew_statistics(store)  # of those of the person as well
    needles = Needles(names, sentences)
    searched = await search(store, needles, home)
    if any(place.found for place in searched):
        # A job that was being done notices a moment later that what it is about is gone.
        await asyncio.sleep(_MOMENT_S)
        searched = await search(store, needles, home)
    return Forgotten(len(gone_sessions), len(gone_voices), tuple(searched))


async def _renew_statistics(store: Belongings) -> None:
    with suppress(StoreError):  # where it is not allowed, the search says what that leaves
        await store.renew_statistics()


async def search(store: Belongings, needles: Needles, home: Path) -> Sequence[Leftover]:
    """Look for ``needles`` in the database, the recordings and every file of the data folder."""
    kept = await store.leftovers(needles.names, needles.sentences)
    return [*kept, *await asyncio.to_thread(search_files, home, needles)]


async def forget_marked(
    store: Belongings, *, erase_voice: Callable[[str], Awaitable[object]], home: Path
) -> None:
    """Go on with everything that was begun and not brought to its end.

    Raises:
        StoreError: If the database is away.
    """
    for person in await store.people.all():
        if person.forgetting is None:
            continue
        try:
            what = person.forgetting
            await forget(store, person.id, what, erase_voice=erase_voice, home=home)
            _log.info("what belonged to %s is deleted now", person.id)
        except (Conflict, NotFound):
            continue  # something came in meanwhile, or another process did it
        except KuaimeiError as error:
            _log.warning("what belongs to %s cannot be deleted now: %s", person.id, error)
