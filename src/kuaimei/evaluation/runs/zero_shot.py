"""Evaluation of zero-shot cloning engines, which need the recording but no training."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from kuaimei.audio.decode import decode
from kuaimei.audio.encode import encode
from kuaimei.engines.protocols import ZeroShotCloner
from kuaimei.evaluation.measure import measure
from kuaimei.evaluation.panel import SpeakerEvaluator
from kuaimei.evaluation.references import EvaluationReference
from kuaimei.evaluation.report import Tier, VoiceReport
from kuaimei.evaluation.split_reference import split_in_halves
from kuaimei.evaluation.synthesize import SynthesisBackend
from kuaimei.voices.enrolment.pipeline import ReferenceExaminer
from kuaimei.voices.enrolment.speech_regions import RATE

__all__ = ["ZeroShotRun"]

_JUDGED = "voice_judged"


@dataclass(frozen=True, slots=True)
class ZeroShotRun:
    """Open engine and evaluators of a run.

    Attributes:
        engine: Name of the engine.
        speaker: The engine.
        bank: The same one, to register recordings with.
        examiner: Selects the excerpt to register, and transcribes it.
        note: Receives progress messages.
    """

    panel: SpeakerEvaluator
    engine: str
    speaker: SynthesisBackend
    bank: ZeroShotCloner
    examiner: ReferenceExaminer
    tiers: Sequence[Tier]
    long: bool
    note: Callable[[str], None]

    async def judge(self, reference: EvaluationReference) -> AsyncGenerator[VoiceReport, None]:
        """Evaluate one speaker: the engine clones one half of the recording, the other is compared with.

        Raises:
            KuaimeiError: If the recording cannot be used, or the engine fails.
        """
        pcm = await decode(reference.path, RATE)
        seen, unseen, _ = split_in_halves(pcm, RATE)
        half = await asyncio.to_thread(encode, seen, RATE, "wav")
        found = await self.examiner.examine(half, transcript=reference.transcript, strict=False)
        transcript, language = found.transcript, found.language
        if transcript is None:
            transcript, language = await self.examiner.transcribe(found.pcm, language)
        subject = await self.panel.add_subject(reference.name, language or "zh", seen, unseen, RATE)
        lent = await asyncio.to_thread(encode, found.pcm, RATE, "wav")
        self.bank.put_reference(_JUDGED, lent, transcript)
        try:
            for tier in self.tiers:
                self.note(f"{reference.name}: {self.engine}, {tier} …")
                finding, _ = await measure(
                    self.panel,
                    subject,
                    self.speaker,
                    _JUDGED,
                    engine=self.engine,
                    tier=tier,
                    step="reference",
                    long=self.long,
                )
                yield finding
        finally:
            self.bank.drop_voice(_JUDGED)
