"""A session as a ZIP file, made while it is being sent: never the whole in memory."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from kuaimei.audio.sink import Sink
from kuaimei.dialogue.streams import closing
from kuaimei.errors import NotFound
from kuaimei.server.course import COLUMNS, lines
from kuaimei.server.house import Archive
from kuaimei.server.rest.sheets import sheet
from kuaimei.store.records import Tier
from kuaimei.store.rows import Utterance

__all__ = ["export", "write_session"]


async def export(
    store: Archive,
    session: str,
    data: dict[str, Any],
    utterances: Sequence[Utterance],
    spoken: Sequence[dict[str, Any]],
) -> AsyncIterator[bytes]:
    """The bytes of the ZIP file, see `write_session`."""
    sink = Sink()
    with zipfile.ZipFile(sink, "w") as file:  # type: ignore[call-overload]
        async for _ in write_session(file, session, store, data, utterances, spoken):
            yield sink.take()
    yield sink.take()


async def write_session(
    file: zipfile.ZipFile,
    folder: str,
    store: Archive,
    data: dict[str, Any],
    utterances: Sequence[Utterance],
    spoken: Sequence[dict[str, Any]],
) -> AsyncIterator[None]:
    """Add a session to ``file``; whenever it yields, what was written so far can be taken.

    Recordings are FLAC already and only stored.

    Args:
        file: Open for writing.
        folder: In the file.
        store: Gives the recordings.
        data: Becomes ``session.json``.
        utterances: Become ``transcript.txt``, and a recording each where there is one, or two.
        spoken: How they were spoken (`kuaimei.server.course.spoken_session`): becomes ``analysis.json`` and,
            without what is drawn, ``analysis.csv``.
    """

    def write_texts() -> None:
        text = json.dumps(data, ensure_ascii=False, indent=2, default=str)
        file.writestr(f"{folder}/session.json", text, zipfile.ZIP_DEFLATED)
        file.writestr(f"{folder}/transcript.txt", _transcript(utterances), zipfile.ZIP_DEFLATED)
        text = json.dumps(spoken, ensure_ascii=False, default=str)
        file.writestr(f"{folder}/analysis.json", text, zipfile.ZIP_DEFLATED)
        file.writestr(f"{folder}/analysis.csv", sheet(COLUMNS, lines(spoken)), zipfile.ZIP_DEFLATED)

    await asyncio.to_thread(write_texts)
    yield
    for utterance, tier in _recordings(utterances):
        try:
            audio = await store.open_audio(utterance.id, tier=tier)
        except NotFound:
            continue  # deleted meanwhile
        ending = "hq.flac" if tier == "hq" else "flac"
        name = f"{folder}/{utterance.turn:04}_{utterance.speaker}_{utterance.id}.{ending}"
        info = zipfile.ZipInfo(name, utterance.started_at.timetuple()[:6])
        info.file_size = audio.content_length  # tells whether a ZIP64 entry is needed
        with file.open(info, "w") as entry:
            async with closing(audio.chunks) as chunks:
                async for chunk in chunks:
                    entry.write(chunk)
                    yield


def _recordings(utterances: Sequence[Utterance]) -> Iterator[tuple[Utterance, Tier]]:
    for utterance in utterances:
        if utterance.bytes:
            yield utterance, "fast"
        if utterance.hq is not None and utterance.hq.bytes:
            yield utterance, "hq"


def _transcript(utterances: Sequence[Utterance]) -> str:
    lines = [
        f"[{u.started_at:%Y-%m-%d %H:%M:%S}] {u.speaker}: {u.transcript or '…'}"
        for u in utterances
        if u.is_turn
    ]
    return "\n".join(lines) + "\n"
