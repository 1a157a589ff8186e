"""Export of a session as a ZIP file, generated while it is sent and never held in memory as a whole."""

import asyncio
import json
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kuaimei.audio.sink import BufferSink
from kuaimei.audio.streams import closing
from kuaimei.errors import NotFound
from kuaimei.server.protocols import ConversationStore
from kuaimei.server.rest.csv_tables import csv_text
from kuaimei.server.rest.session_analysis import COLUMNS, lines, session_analysis
from kuaimei.store.rows import SessionRow, UtteranceRow
from kuaimei.store.utterance_record import Tier

__all__ = ["ExportedSession", "export", "write_session"]

_PAGE: Final = 50
"""Utterances whose analyses are held in memory at once."""


@dataclass(frozen=True, slots=True)
class ExportedSession:
    """A session to be exported.

    Attributes:
        session: The session.
        utterances: Its utterances in order.
        describe: Returns the content of ``session.json``; called in a thread.
        analysed: True if analysis is enabled.
    """

    session: SessionRow
    utterances: Sequence[UtteranceRow]
    describe: Callable[[], dict[str, Any]]
    analysed: bool


async def export(store: ConversationStore, said: ExportedSession) -> AsyncIterator[bytes]:
    """Yield the bytes of a ZIP file with one session; see `write_session`."""
    sink = BufferSink()
    with zipfile.ZipFile(sink, "w") as file:  # type: ignore[call-overload]
        async for _ in write_session(file, said.session.id, store, said):
            yield sink.take()
    yield sink.take()


async def write_session(
    file: zipfile.ZipFile, folder: str, store: ConversationStore, said: ExportedSession
) -> AsyncIterator[None]:
    """Add a session to ``file``; yields whenever the bytes written so far can be taken.

    Recordings are FLAC already and stored uncompressed. The analyses become ``analysis.json`` and, without
    contours, ``analysis.csv``.

    Args:
        file: ZIP file open for writing.
        folder: Folder inside the ZIP file.
        store: Source of the recordings and analyses.
        said: Becomes ``session.json``, ``transcript.txt``, and up to two recordings for each utterance.
    """

    def write_texts() -> None:
        text = json.dumps(said.describe(), ensure_ascii=False, indent=2, default=str)
        file.writestr(f"{folder}/session.json", text, zipfile.ZIP_DEFLATED)
        file.writestr(f"{folder}/transcript.txt", _transcript(said.utterances), zipfile.ZIP_DEFLATED)

    await asyncio.to_thread(write_texts)
    yield
    async for _ in _write_analyses(file, folder, store, said):
        yield
    for utterance, tier in _recordings(said.utterances):
        try:
            audio = await store.open_audio(utterance.id, tier=tier)
        except NotFound:
            continue  # deleted meanwhile
        ending = "hq.flac" if tier == "hq" else "flac"
        name = f"{folder}/{utterance.turn:04}_{utterance.speaker}_{utterance.id}.{ending}"
        info = zipfile.ZipInfo(name, utterance.started_at.timetuple()[:6])
        info.file_size = audio.content_length  # decides whether a ZIP64 entry is needed
        with file.open(info, "w") as entry:
            async with closing(audio.chunks) as chunks:
                async for chunk in chunks:
                    entry.write(chunk)
                    yield


async def _write_analyses(
    file: zipfile.ZipFile, folder: str, store: ConversationStore, said: ExportedSession
) -> AsyncIterator[None]:
    """Write the analyses of a few utterances at a time, because their contours are large."""
    rows: list[list[object]] = []
    info = zipfile.ZipInfo(f"{folder}/analysis.json", time.localtime()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    with file.open(info, "w", force_zip64=True) as entry:

        def write(spoken: Sequence[dict[str, Any]], *, first: bool) -> None:
            for one in spoken:
                entry.write(b"[" if first else b", ")
                entry.write(json.dumps(one, ensure_ascii=False, default=str).encode())
                first = False
            rows.extend(lines(spoken))

        for start in range(0, len(said.utterances), _PAGE):
            page = said.utterances[start : start + _PAGE]
            spoken = await session_analysis(store, said.session, page, enabled=said.analysed, contours=True)
            await asyncio.to_thread(write, spoken, first=start == 0)
            yield
        entry.write(b"]" if said.utterances else b"[]")

    def write_table() -> None:
        file.writestr(f"{folder}/analysis.csv", csv_text(COLUMNS, rows), zipfile.ZIP_DEFLATED)

    await asyncio.to_thread(write_table)
    yield


def _recordings(utterances: Sequence[UtteranceRow]) -> Iterator[tuple[UtteranceRow, Tier]]:
    for utterance in utterances:
        if utterance.bytes:
            yield utterance, "fast"
        if utterance.hq is not None and utterance.hq.bytes:
            yield utterance, "hq"


def _transcript(utterances: Sequence[UtteranceRow]) -> str:
    lines = [
        f"[{u.started_at:%Y-%m-%d %H:%M:%S}] {u.speaker}: {u.transcript or '…'}"
        for u in utterances
        if u.is_turn
    ]
    return "\n".join(lines) + "\n"
