"""``kuaimei people export`` and ``forget``: export or delete all data of a person."""

import asyncio
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from kuaimei.cli import console
from kuaimei.cli.people_store import find_person, with_store
from kuaimei.errors import Conflict, SettingsError
from kuaimei.people.erasure import Forgotten, forget
from kuaimei.settings import Settings
from kuaimei.store import Store
from kuaimei.store.people import Person
from kuaimei.store.utterance_record import LOCAL

__all__ = ["export", "forget_person"]

_TRIES: Final = 10
"""Attempts, one per second: a running server may still be storing what was said a moment ago."""
_BETWEEN_S: Final = 1.0

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Named = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the person.")]


def forget_person(
    name: Named,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Permanently delete a person and all their data, then verify that nothing is left.

    Exits with status 1 if something is left.
    """
    settings = console.settings_from()

    async def work(store: Store) -> tuple[Person, Forgotten]:
        person = await find_person(store, name)
        kept = {one: rest for one, *rest in await store.people.counts()}
        sessions, voices, _ = kept[person.id]
        asked = f"Permanently delete {person.name} with {sessions} sessions and {voices} voices?"
        if not yes and not await asyncio.to_thread(typer.confirm, asked, err=True):
            raise Conflict("nothing was deleted")
        return person, await _forgotten(store, settings, person)

    person, done = with_store(work, settings)
    _tell_forgotten(person, done, as_json)
    if done.left:
        raise typer.Exit(1)


def export(
    name: Named,
    output: Annotated[Path, typer.Option("-o", "--output", help="ZIP file to write.")],
    as_json: AsJson = False,
) -> None:
    """Export all data of a person to a ZIP file: sessions with recordings, voices, judgements."""
    # Imported late: it pulls in the server's dependencies.
    from kuaimei.server.rest.personal_data import export_everything

    settings = console.settings_from()

    async def work(store: Store) -> dict[str, Any]:
        person = await find_person(store, name)
        part = output.with_name(f"{output.name}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
                async for piece in export_everything(store, person, analysed=settings.analysis.enabled):
                    await asyncio.to_thread(file.write, piece)
            part.replace(output)
        except OSError as error:
            raise SettingsError(f"{output} cannot be written ({error.strerror})") from None
        return {"person": person.id, "file": str(output), "bytes": output.stat().st_size}

    written = with_store(work, settings)
    if as_json:
        console.print_json(written)
    else:
        console.note(f"written: {written['file']}, {written['bytes']:,} bytes")


async def _forgotten(store: Store, settings: Settings, person: Person) -> Forgotten:
    """Delete the data, retrying while a running server still stores earlier utterances."""
    what: Literal["things", "all"] = "things" if person.id == LOCAL else "all"
    sessions = voices = 0
    for attempt in range(_TRIES):
        try:
            done = await forget(store, person.id, what, erase_voice=store.delete_voice, home=settings.home)
        except Conflict:
            if attempt + 1 == _TRIES:
                raise
            await asyncio.sleep(_BETWEEN_S)
            continue
        return Forgotten(done.sessions + sessions, done.voices + voices, done.searched)
    raise AssertionError


def _tell_forgotten(person: Person, done: Forgotten, as_json: bool) -> None:
    if as_json:
        console.print_json(
            {
                "person": person.id,
                "sessions": done.sessions,
                "voices": done.voices,
                "searched": [asdict(place) for place in done.searched],
                "left": [asdict(place) for place in done.left],
            }
        )
        return
    console.note(f"deleted: {person.name}, {done.sessions} sessions, {done.voices} voices")
    console.print_list(["searched", "found"], [[place.place, place.found] for place in done.searched], ids=())
    if done.left:
        console.note(f"data is left in {len(done.left)} places: see above, and run the command again")
    else:
        console.note("none of their data was found")
    console.note(
        "not searched: backups, the database's files (its tables were), and the server's output, wherever it "
        "was sent (journalctl). "
        "Of the deleted data only the ids are kept, so that none of it can reappear"
    )
