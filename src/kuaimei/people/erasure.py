"""Deletion of everything that belongs to a person, with a search for what is left.

The deletion is recorded first (`kuaimei.store.people.People.begin_forgetting`), so that one cut off by a
crash is resumed at the next start. Each item is deleted as if the person deleted it individually.
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
"""Passes over sessions and voices: the next one finds what was added during the last."""
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
    """The part of `kuaimei.store.Store` that is needed here."""

    @property
    def people(self) -> _People:
        """People, who own everything that is stored."""
        ...

    @property
    def voices(self) -> _Voices:
        """Cloned voices."""
        ...

    @property
    def preferences(self) -> _Judgements:
        """Trials and judgements of listening tests."""
        ...

    @property
    def ratings(self) -> _Judgements:
        """Listeners' ratings."""
        ...

    async def delete_session(self, session: str) -> bool:
        """Delete the session; False: deletion continues in the background."""
        ...

    async def unfinished_deletions(self, owner: str) -> int:
        """Return how many deletions of this person's data are still running."""
        ...

    async def forget_waiting(self, owner: str) -> None:
        """Drop data of the person that waits to be stored."""
        ...

    async def renew_statistics(self) -> None:
        """Discard the samples of deleted rows that the database keeps for its planner."""
        ...

    async def names_of(self, owner: str, until: datetime | None = None) -> Sequence[str]:
        """Return the ids of everything that belongs to the person."""
        ...

    async def sentences_of(
        self, owner: str, until: datetime | None = None, limit: int = 200
    ) -> Sequence[str]:
        """Return sentences that occur only in this person's sessions."""
        ...

    async def leftovers(self, names: Sequence[str], sentences: Sequence[str]) -> Sequence[Leftover]:
        """Search database and recordings for remaining ids or sentences."""
        ...


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Result of a deletion.

    Attributes:
        sessions: Number of deleted sessions.
        voices: Number of deleted voices.
        searched: Every place that was searched afterwards.
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
    """Delete what belongs to the person (with ``all`` also the person), then search for what is left.

    With ``things``, sessions and voices that were created after the request are kept.

    Args:
        store: The store of the data.
        person: Id.
        what: ``things`` or ``all``.
        erase_voice: Deletes one voice with everything derived from it.
        home: The data folder, which is searched.

    Raises:
        NotFound: If there is no person with that id.
        StoreError: If a part could not be deleted; a running server retries it.
    """
    everything = what == "all"
    if everything:  # includes the keys, which are deleted first
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
            f"{going_on} of the person's sessions and voices cannot be fully deleted now; a running server "
            "keeps retrying: see its log, and try again later"
        )
    await store.preferences.forget(person)
    await store.ratings.forget(person)
    await _renew_statistics(store)
    await store.people.end_forgetting(person)
    if everything:
        await _renew_statistics(store)  # now also of the person's own rows
    needles = Needles(names, sentences)
    searched = await search(store, needles, home)
    if any(place.found for place in searched):
        # A running job notices only a moment later that its data is gone.
        await asyncio.sleep(_MOMENT_S)
        searched = await search(store, needles, home)
    return Forgotten(len(gone_sessions), len(gone_voices), tuple(searched))


async def _renew_statistics(store: Belongings) -> None:
    with suppress(StoreError):  # if not permitted, the search reports what is left
        await store.renew_statistics()


async def search(store: Belongings, needles: Needles, home: Path) -> Sequence[Leftover]:
    """Search the database, the recordings and every file of the data folder for ``needles``.

    Args:
        store: The store of the data.
        needles: What to search for.
        home: The data folder.
    """
    kept = await store.leftovers(needles.names, needles.sentences)
    return [*kept, *await asyncio.to_thread(search_files, home, needles)]


async def forget_marked(
    store: Belongings, *, erase_voice: Callable[[str], Awaitable[object]], home: Path
) -> None:
    """Resume all deletions that were started and not completed.

    Args:
        store: The store of the data.
        erase_voice: Deletes one voice with everything derived from it.
        home: The data folder.

    Raises:
        StoreError: If the database is not reachable.
    """
    for person in await store.people.all():
        if person.forgetting is None:
            continue
        try:
            what = person.forgetting
            await forget(store, person.id, what, erase_voice=erase_voice, home=home)
            _log.info("the data of %s was deleted", person.id)
        except (Conflict, NotFound):
            continue  # data was added meanwhile, or another process did it
        except KuaimeiError as error:
            _log.warning("the data of %s cannot be deleted now: %s", person.id, error)
