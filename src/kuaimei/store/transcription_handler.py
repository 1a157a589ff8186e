"""The job that recognises what nobody recognised while it was spoken."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.protocols import Recognizer
from kuaimei.engines.types import Language, Priority, STTReq, Ticket
from kuaimei.store.rows import UtteranceRow
from kuaimei.text.join import join_pieces

__all__ = ["StoredTranscript", "Transcriber", "transcribe_with"]

_PROMPT_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class StoredTranscript:
    """What was said."""

    text: str
    language: Language | None = None


Transcriber: TypeAlias = Callable[[UtteranceRow, AsyncIterator[Pcm]], Awaitable[StoredTranscript]]
"""Recognises an utterance that comes in pieces (16 kHz) cut at pauses, each short enough for one request."""


def transcribe_with(
    recognizer: Recognizer, *, language: Language | None = None, hotwords: tuple[str, ...] = ()
) -> Transcriber:
    """A transcriber that asks ``recognizer`` piece by piece, behind everyone who is talking."""

    async def transcribe(utterance: UtteranceRow, pieces: AsyncIterator[Pcm]) -> StoredTranscript:
        said = ""
        spoken = language
        ticket = Ticket(session=utterance.session_id, priority=Priority.BACKGROUND)
        async for piece in pieces:
            request = STTReq(
                language=spoken, prompt=said[-_PROMPT_CHARACTERS:], hotwords=hotwords, ticket=ticket
            )
            chunk = await recognizer.transcribe(piece, request)
            said = join_pieces((said, chunk.text))
            spoken = spoken or chunk.language
        return StoredTranscript(said, spoken)

    return transcribe
