"""The durable job that transcribes an utterance from its recording."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import update

from kuaimei.audio.pcm import Pcm
from kuaimei.errors import NotFound
from kuaimei.store import flac, tables
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.reader import ConversationReader
from kuaimei.store.transcription_handler import StoredTranscript, Transcriber
from kuaimei.text.wellformed import to_well_formed

__all__ = ["recognise"]

_PIECE_S = 20.0


async def recognise(
    archive: ConversationReader, database: Database, folder: Path, transcriber: Transcriber, utterance: str
) -> None:
    """Transcribe ``utterance``, unless it has a transcript or was deleted.

    Args:
        archive: Source of the recording.
        database: Destination of the transcript.
        folder: Folder for a temporary copy of the recording.
        transcriber: Transcribes the recording.
        utterance: Id of the utterance.

    Raises:
        KuaimeiError: If it is to be tried again.
    """
    try:
        found = await archive.utterance(utterance)
        if found.transcript is not None:
            return
        audio = await archive.open_audio(utterance)
    except NotFound:
        return  # deleted meanwhile
    path = folder / f"{utterance}.job"
    try:
        file = await asyncio.to_thread(path.open, "wb")
        try:
            async for chunk in audio.chunks:
                await asyncio.to_thread(file.write, chunk)
        finally:
            await asyncio.to_thread(file.close)
        transcript = await transcriber(found, _pieces(path))
    finally:
        await asyncio.to_thread(path.unlink, True)
    await _keep(database, utterance, transcript)


@again_after_deadlock
async def _keep(database: Database, utterance: str, transcript: StoredTranscript) -> None:
    table = tables.utterances
    async with database.begin() as connection:
        await connection.execute(
            update(table)
            .where((table.c.id == utterance) & table.c.transcript.is_(None))
            .values(transcript=to_well_formed(transcript.text), language=transcript.language)
        )


async def _pieces(path: Path) -> AsyncIterator[Pcm]:
    pieces = flac.read_in_chunks(path, _PIECE_S)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
