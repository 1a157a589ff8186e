"""Enrolment pipeline: turns an audio file into a checked reference recording, or refuses it with reasons."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE, EMPTY, Pcm
from kuaimei.audio.resample import resample
from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.protocols import Recognizer, VoiceActivityDetector
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Language, Priority, STTReq, Ticket
from kuaimei.errors import AudioError
from kuaimei.text.wellformed import to_well_formed
from kuaimei.voices.enrolment.checks import Encoder, check_all
from kuaimei.voices.enrolment.excerpt import best_excerpt, held_out, normalize_level
from kuaimei.voices.enrolment.pitch_range import estimate_pitch
from kuaimei.voices.enrolment.speech_regions import RATE, find_speech
from kuaimei.voices.enrolment.transcript_check import LIMIT, match_transcript
from kuaimei.voices.types import Check, Pitch

__all__ = ["MAX_DURATION_S", "EnrolledReference", "ReferenceExaminer", "ReferenceRefused"]

T = TypeVar("T")

MAX_DURATION_S: Final = 600.0
"""Maximum duration of a recording."""
_DECODING_S: Final = 60.0


class ReferenceRefused(AudioError):
    """Raised if the recording cannot be used as a reference.

    Attributes:
        checks: All checks; those that refuse say what to do.
    """

    kind = "reference_refused"

    def __init__(self, checks: tuple[Check, ...]) -> None:
        super().__init__(" ".join(check.advice["en"] for check in checks if check.verdict == "refused"))
        self.checks = checks


@dataclass(frozen=True, slots=True)
class EnrolledReference:
    """Reference made from a recording.

    Attributes:
        pcm: Best excerpt, int16 at `kuaimei.voices.enrolment.speech_regions.RATE`.
        judge: Speech from another part, for evaluating the voice; empty if there was too little.
        checks: All checks that were made.
        pitch: None if it could not be measured.
        transcript: What is said in ``pcm``, if a text was given; else None.
        language: As given or detected; None: not yet known.
    """

    pcm: Pcm
    judge: Pcm
    checks: tuple[Check, ...]
    pitch: Pitch | None
    transcript: str | None
    language: Language | None


class ReferenceExaminer:
    """Decodes a recording, checks it and selects the best excerpt.

    Args:
        vad: Factory of voice activity detectors.
        recognizer: Transcribes the excerpt.
        encoder: Opens GE2E; returns None if it is not installed. Called in a thread.
        cores: Scheduler of the CPU cores.
    """

    def __init__(
        self,
        vad: Callable[[], VoiceActivityDetector],
        recognizer: Recognizer,
        encoder: Callable[[], Encoder | None],
        cores: Scheduler,
    ) -> None:
        self._vad = vad
        self._recognizer = recognizer
        self._encoder = encoder
        self._cores = cores

    async def examine(
        self,
        file: Path | bytes | BinaryIO,
        *,
        transcript: str = "",
        language: Language | None = None,
        strict: bool = True,
    ) -> EnrolledReference:
        """Make a reference from ``file``, an audio file of any common format.

        Args:
            file: Recording of up to `MAX_DURATION_S`.
            transcript: What is said in the whole recording, if known.
            language: Language of the recording; None: it is detected.
            strict: False: accept a recording that the checks refuse, provided that it contains speech.

        Raises:
            AudioError: If it cannot be decoded.
            ReferenceRefused: If a check refuses it.
            QueueFull: If the queue for the cores is full.
        """
        pcm = await decode(file, RATE, max_s=MAX_DURATION_S, timeout_s=_DECODING_S)
        checks, best, rest, pitch = await self._compute(self._listen, pcm)
        if not len(best) or (strict and any(check.verdict == "refused" for check in checks)):
            raise ReferenceRefused(checks)
        said: str | None = None
        if given := " ".join(transcript[:LIMIT].split()):
            heard, spoken = await self.transcribe(best, language)
            agreement = match_transcript(given, heard, language or spoken or "zh")
            checks = (*checks, agreement.check)
            if strict and agreement.check.verdict == "refused":
                raise ReferenceRefused(checks)
            said, language = agreement.text, language or spoken
        return EnrolledReference(best, rest, checks, pitch, said, language)

    async def transcribe(self, pcm: Pcm, language: Language | None) -> tuple[str, Language | None]:
        """Transcribe ``pcm`` (at `RATE`); return the text and its language.

        Raises:
            EngineError: If recognition failed.
        """
        low = await self._compute(resample, pcm, RATE, ASR_RATE)
        request = STTReq(language=language, ticket=_ticket())
        chunk = await self._recognizer.transcribe(low, request)
        return to_well_formed(chunk.text).strip(), chunk.language or language

    async def _compute(self, function: Callable[..., T], *args: object) -> T:
        return await run_on_cores(self._cores, _ticket(), 1, function, *args)

    def _listen(self, pcm: Pcm) -> tuple[tuple[Check, ...], Pcm, Pcm, Pitch | None]:
        """Run all CPU-bound work in one call."""
        speech = find_speech(pcm, self._vad())
        checks = check_all(speech, self._encoder())
        if not speech.spans:
            return checks, EMPTY, EMPTY, None
        part = best_excerpt(speech)
        other = held_out(speech, part)
        best = normalize_level(speech, part)
        rest = EMPTY if other is None else normalize_level(speech, other)
        return checks, best, rest, estimate_pitch(best, RATE)


def _ticket() -> Ticket:
    return Ticket(session="voices", priority=Priority.BACKGROUND)
