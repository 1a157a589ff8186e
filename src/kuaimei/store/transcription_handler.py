"""Transcriber for stored utterances that were not transcribed during the conversation."""

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
    """Transcript of a stored utterance."""

    text: str
    language: Language | None = None


Transcriber: TypeAlias = Callable[[UtteranceRow, AsyncIterator[Pcm]], Awaitable[StoredTranscript]]
"""Transcribes an utterance given in chunks (16 kHz) cut at pauses, each short enough for one request."""


def transcribe_with(
    recognizer: Recognizer, *, language: Language | None = None, hotwords: tuple[str, ...] = ()
) -> Transcriber:
    """Return a transcriber that calls ``recognizer`` chunk by chunk at background priority.

    Args:
        recognizer: The speech recognizer.
        language: Language of the speech; None: detected in the first chunk.
        hotwords: Words that are likely to occur.
    """

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
