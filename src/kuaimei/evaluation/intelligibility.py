"""How well a rendering is understood: what a recogniser hears of it, against what it should say."""

from collections.abc import Sequence

from kuaimei.audio.pcm import ASR_RATE
from kuaimei.audio.resample import resample
from kuaimei.engines.protocols import Recognizer
from kuaimei.engines.types import Language, Priority, STTReq, Ticket
from kuaimei.evaluation.synthesize import SynthesizedSet
from kuaimei.text.error_rate import error_rate, units

__all__ = ["count_units", "error_rate_of", "transcribe"]


async def transcribe(recognizer: Recognizer, spoken: SynthesizedSet, language: Language) -> list[str]:
    """What the recogniser writes for each clip, told the language but nothing of the text."""
    texts = []
    for clip in spoken.clips:
        req = STTReq(language=language, ticket=Ticket(session="judging", priority=Priority.BACKGROUND))
        chunk = await recognizer.transcribe(resample(clip, spoken.rate, ASR_RATE), req)
        texts.append(chunk.text)
    return texts


def error_rate_of(texts: Sequence[str], written: Sequence[str], language: Language) -> float:
    """Character (zh) or word (en) error rate over all clips; script and punctuation aside."""
    return error_rate(list(zip(texts, written, strict=True)), language)


def count_units(texts: Sequence[str], language: Language) -> int:
    """How many characters (zh) or words (en) an error rate over ``texts`` is taken from."""
    return sum(len(units(text, language)) for text in texts)
