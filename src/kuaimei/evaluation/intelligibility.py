"""Intelligibility of a rendering: what a recognizer transcribes, compared with the text."""

from collections.abc import Sequence

from kuaimei.audio.pcm import ASR_RATE
from kuaimei.audio.resample import resample
from kuaimei.engines.protocols import Recognizer
from kuaimei.engines.types import Language, Priority, STTReq, Ticket
from kuaimei.evaluation.synthesize import SynthesizedSet
from kuaimei.text.error_rate import error_rate, units

__all__ = ["count_units", "error_rate_of", "transcribe"]


async def transcribe(recognizer: Recognizer, spoken: SynthesizedSet, language: Language) -> list[str]:
    """Transcribe each clip; the recognizer is told the language but nothing of the text.

    Args:
        recognizer: Recognizer to use.
        spoken: Clips to transcribe.
        language: Language of the clips.
    """
    texts = []
    for clip in spoken.clips:
        req = STTReq(language=language, ticket=Ticket(session="judging", priority=Priority.BACKGROUND))
        chunk = await recognizer.transcribe(resample(clip, spoken.rate, ASR_RATE), req)
        texts.append(chunk.text)
    return texts


def error_rate_of(texts: Sequence[str], written: Sequence[str], language: Language) -> float:
    """Return the character (zh) or word (en) error rate over all clips; ignores script and punctuation.

    Args:
        texts: The texts as they should be.
        written: The transcripts, in the same order.
        language: Language of both.
    """
    return error_rate(list(zip(texts, written, strict=True)), language)


def count_units(texts: Sequence[str], language: Language) -> int:
    """Return the number of characters (zh) or words (en) that an error rate over ``texts`` is based on."""
    return sum(len(units(text, language)) for text in texts)
