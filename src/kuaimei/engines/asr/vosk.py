"""Live captions from Vosk: small streaming models of Chinese and English.

The captions are provisional: spaced Simplified text without punctuation, about 85 of 100 characters
correct. The recognizer's text replaces them. Audio is processed in steps of at most 0.4 s (about 50 ms on
one core), so that no request of the reply waits long for a caption.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm, duration_ms, to_bytes
from kuaimei.engines.asr.postprocess import postprocess_transcript
from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.import_lock import importing
from kuaimei.engines.protocols import CaptionStream
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Language, Priority, STTChunk, Ticket
from kuaimei.errors import EngineError, WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.text.join import join_pieces

__all__ = ["VoskCaptioner", "VoskStream", "open_vosk"]

_STEP = ASR_RATE * 2 // 5


class VoskStream:
    """Captions of one utterance.

    Args:
        make_recognizer: Creates Vosk's decoder of one utterance; called with the first audio.
        language: Language of the text.
        cores: Scheduler, used with one core and behind all live requests.
        session: Id of this stream in the queue.
    """

    def __init__(
        self, make_recognizer: Callable[[], Any], language: Language, cores: Scheduler, session: str
    ) -> None:
        self._make_recognizer = make_recognizer
        self._language = language
        self._cores = cores
        self._ticket = Ticket(session=session, priority=Priority.SPECULATIVE)
        self._recognizer: Any = None
        self._closed = False
        self._finished = ""  # postprocessed: converting everything again would cost more with every word
        self._text = ""
        self._heard = 0

    async def push(self, pcm: Pcm) -> STTChunk | None:
        """Add audio (16 kHz); return the caption of everything so far if it changed, else None.

        Raises:
            EngineError: If Vosk failed; `QueueFull` if too many requests wait for the cores: the captions
                miss this audio, and the next push continues after it.
        """
        text = self._text
        for start in range(0, len(pcm), _STEP):
            text = await run_on_cores(self._cores, self._ticket, 1, self._hear, pcm[start : start + _STEP])
            self._heard += len(pcm[start : start + _STEP])
        if text == self._text or self._closed:
            return None
        self._text = text
        return STTChunk(
            text=text, is_final=False, language=self._language, end_ms=self._heard * 1000.0 / ASR_RATE
        )

    async def close(self) -> None:
        """Release the decoder; idempotent. A step in progress finishes on its own."""
        self._closed = True
        self._recognizer = None

    def _hear(self, pcm: Pcm) -> str:
        """Process one step, blocking; return the text of the whole utterance so far."""
        if self._closed:
            return self._text
        recognizer = self._recognizer
        try:
            if recognizer is None:
                recognizer = self._recognizer = self._make_recognizer()
            if recognizer.AcceptWaveform(to_bytes(pcm)):
                finished = str(json.loads(recognizer.Result())["text"])
                self._finished = join_pieces([self._finished, postprocess_transcript(_tidy(finished))])
                partial = ""
            else:
                partial = str(json.loads(recognizer.PartialResult())["partial"])
        except Exception as error:  # Vosk raises nothing but plain exceptions
            raise EngineError(f"Vosk failed on {duration_ms(pcm, ASR_RATE):.0f} ms of audio") from error
        return join_pieces([self._finished, postprocess_transcript(_tidy(partial))])


class VoskCaptioner:
    """Creates caption streams.

    Args:
        models: Factory of decoders for each available language.
        cores: Scheduler of this machine's cores.
    """

    def __init__(self, models: Mapping[Language, Callable[[], Any]], cores: Scheduler) -> None:
        self._models = models
        self._cores = cores
        self._numbers = count()

    def open(self, language: Language) -> CaptionStream:
        """Return a new stream for one utterance; a language without a model uses the other model."""
        if language not in self._models:
            language = next(iter(self._models))
        return VoskStream(self._models[language], language, self._cores, f"captions-{next(self._numbers)}")


def _tidy(text: str) -> str:
    return text.replace("[unk]", "").replace("<UNK>", "")


def _load(folder: Path) -> Callable[[], Any]:
    """Load and warm up the model in ``folder``; return a factory of decoders that use it."""
    with importing():
        import vosk  # type: ignore[import-untyped]

    vosk.SetLogLevel(-1)
    try:
        make_recognizer = partial(vosk.KaldiRecognizer, vosk.Model(str(folder)), float(ASR_RATE))
        make_recognizer().AcceptWaveform(to_bytes(np.zeros(_STEP, dtype=np.int16)))
    except Exception as error:  # Vosk raises nothing but plain exceptions
        raise WeightsError(f"{folder} is not a readable Vosk model; run: kuaimei models verify") from error
    return make_recognizer


@asynccontextmanager
async def open_vosk(engine_context: EngineContext, source: EngineSource) -> AsyncIterator[VoskCaptioner]:
    """Load and warm up the models of the installed languages."""
    if source.path is None:
        raise WeightsError(f"the weights of {source.name} are not installed; run: kuaimei models pull")
    languages: tuple[Language, ...] = ("zh", "en")
    folders = {language: source.path / language for language in languages}
    at_hand = [language for language in languages if folders[language].is_dir()]
    if not at_hand:
        raise WeightsError(
            f"{source.path} contains neither a zh nor an en Vosk model; run: kuaimei models pull"
        )
    loaded = await asyncio.gather(*(asyncio.to_thread(_load, folders[language]) for language in at_hand))
    yield VoskCaptioner(dict(zip(at_hand, loaded, strict=True)), engine_context.cores)
