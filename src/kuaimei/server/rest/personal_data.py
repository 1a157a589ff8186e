"""Export of all personal data of a person as a ZIP file, generated while it is sent."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, Final

from kuaimei.audio.sink import BufferSink
from kuaimei.errors import NotFound
from kuaimei.server.protocols import ConversationStore
from kuaimei.server.rest.export import write_session
from kuaimei.server.rest.sessions import portable
from kuaimei.store.people import Person
from kuaimei.store.voices import JUDGE, REFERENCE

__all__ = ["export_everything"]

_PAGE: Final = 100
"""Sessions loaded at a time."""
_VOICE_FILES: Final = (REFERENCE, JUDGE)
"""Recordings of a voice; data derived from them is not exported, and is deleted together with them."""


async def export_everything(
    store: ConversationStore, person: Person, *, analysed: bool
) -> AsyncIterator[bytes]:
    """Yield the bytes of the ZIP file.

    It holds ``person.json`` (the person and their keys), a folder for each session as in `write_session`,
    ``voices/ID`` with the recording and the consent, ``ratings.json`` and ``preferences.json``.

    Args:
        store: The conversation store.
        person: The person whose data is exported.
        analysed: True if analysis is enabled.
    """
    sink = BufferSink()
    with zipfile.ZipFile(sink, "w") as file:  # type: ignore[call-overload]
        about = {
            "person": asdict(person),
            "keys": [asdict(key) for key in await store.keys.all(person.id)],
        }
        await _write(file, "person.json", about)
        await _write(file, "ratings.json", await store.ratings.all(person.id))
        await _write(file, "preferences.json", await store.preferences.judged(person.id))
        yield sink.take()
        async for _ in _write_voices(file, store, person.id):
            yield sink.take()
        before: str | None = None
        while sessions := await store.sessions(_PAGE, before=before, owner=person.id):
            for session in sessions:
                said = await portable(store, session, analysed=analysed)
                async for _ in write_session(file, f"sessions/{session.id}", store, said):
                    yield sink.take()
            before = sessions[-1].id
    yield sink.take()


async def _write_voices(file: zipfile.ZipFile, store: ConversationStore, owner: str) -> AsyncIterator[None]:
    for row in await store.voices.all(owner):
        await _write(file, f"voices/{row.id}/voice.json", asdict(row))
        yield
        for name in _VOICE_FILES:
            try:
                sound = await store.voices.file(row.id, name)
            except NotFound:
                continue  # no such file, or deleted meanwhile
            await asyncio.to_thread(file.writestr, f"voices/{row.id}/{name}", sound)
            yield


async def _write(file: zipfile.ZipFile, name: str, data: Any) -> None:
    def write() -> None:
        plain = [asdict(one) for one in data] if isinstance(data, list) else data
        text = json.dumps(plain, ensure_ascii=False, indent=2, default=str)
        file.writestr(name, text, zipfile.ZIP_DEFLATED)

    await asyncio.to_thread(write)
