"""A session as a ZIP file, made while it is being sent: never the whole in memory."""

import asyncio
import json
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kuaimei.audio.sink import Sink
from kuaimei.dialogue.streams import closing
from kuaimei.errors import NotFound
from kuaimei.server.course import COLUMNS, lines, spoken_session
from kuaimei.server.house import Archive
from kuaimei.server.rest.sheets import sheet
from kuaimei.store.records import Tier
from kuaimei.store.rows import Session, Turn, Utterance

__all__ = ["Said", "export"]

_PAGE: Final = 50
"""Utterances whose analyses are in memory at once."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was said in a session; in order."""

    session: Session
    utterances: Sequence[Utterance]
    turns: Sequence[Turn]


async def export(
    store: Archive, said: Said, describe: Callable[[], dict[str, Any]], *, analysed: bool
) -> AsyncIterator[bytes]:
    """The bytes of the ZIP file; recordings are FLAC already and only stored.

    Args:
        store: Gives the recordings, and how everything was spoken: that becomes ``analysis.json`` and,
            without what is drawn, ``analysis.csv``.
        said: Becomes ``transcript.txt``, and a recording for each utterance where there is one, or two.
        describe: Gives what becomes ``session.json``; called in a thread.
        analysed: Somebody analyses.
    """
    session = said.session.id
    sink = Sink()
    with zipfile.ZipFile(sink, "w") as file:  # type: ignore[call-overload]

        def texts() -> None:
            text = json.dumps(describe(), ensure_ascii=False, indent=2, default=str)
            file.writestr(f"{session}/session.json", text, zipfile.ZIP_DEFLATED)
            file.writestr(f"{session}/transcript.txt", _transcript(said.utterances), zipfile.ZIP_DEFLATED)

        await asyncio.to_thread(texts)
        yield sink.take()
        async for data in _analyses(store, said, file, sink, analysed=analysed):
            yield data
        for utterance, tier in _recordings(said.utterances):
            try:
                audio = await store.open_audio(utterance.id, tier=tier)
            except NotFound:
                continue  # deleted meanwhile
            ending = "hq.flac" if tier == "hq" else "flac"
            name = f"{session}/{utterance.turn:04}_{utterance.speaker}_{utterance.id}.{ending}"
            info = zipfile.ZipInfo(name, utterance.started_at.timetuple()[:6])
            info.file_size = audio.content_length  # tells whether a ZIP64 entry is needed
            with file.open(info, "w") as entry:
                async with closing(audio.chunks) as chunks:
                    async for chunk in chunks:
                        entry.write(chunk)
                        yield sink.take()
    yield sink.take()


async def _analyses(
    store: Archive, said: Said, file: zipfile.ZipFile, sink: Sink, *, analysed: bool
) -> AsyncIterator[bytes]:
    """Write how everything was spoken, a few utterances at a time: what is drawn of them is large."""
    session = said.session
    rows: list[list[object]] = []
    info = zipfile.ZipInfo(f"{session.id}/analysis.json", _now())
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
            spoken = await spoken_session(store, session, page, enabled=analysed, contours=True)
            await asyncio.to_thread(write, spoken, first=start == 0)
            yield sink.take()
        entry.write(b"]" if said.utterances else b"[]")

    def table() -> None:
        file.writestr(f"{session.id}/analysis.csv", sheet(COLUMNS, rows), zipfile.ZIP_DEFLATED)

    await asyncio.to_thread(table)
    yield sink.take()


def _now() -> tuple[int, int, int, int, int, int]:
    return time.localtime()[:6]


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
