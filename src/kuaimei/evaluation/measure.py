"""Evaluation of one voice in one tier: synthesized, timed and measured."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kuaimei.evaluation.panel import SpeakerEvaluator, Subject
from kuaimei.evaluation.report import Stage, Tier, VoiceReport
from kuaimei.evaluation.synthesize import SynthesisBackend, speak_all, time_speech
from kuaimei.evaluation.test_sentences import FIFTY, HELD_OUT, LONG

__all__ = ["measure"]


async def measure(
    panel: SpeakerEvaluator,
    subject: Subject,
    speaker: SynthesisBackend,
    voice: str,
    *,
    engine: str,
    tier: Tier,
    step: Stage,
    long: bool,
    learned_s: float = 0.0,
) -> tuple[VoiceReport, Mapping[str, NDArray[np.float32]]]:
    """Evaluate ``voice``; return the report and the embeddings of its sentences by encoder.

    Args:
        panel: Evaluators.
        subject: Speaker that the voice should resemble.
        speaker: Synthesis backend.
        voice: Id of the voice there.
        engine: Name of the backend.
        tier: Tier that it speaks in.
        step: Training stage of the voice.
        long: Base the error rate on the long text, too.
        learned_s: Seconds that training this step took.

    Raises:
        EngineError: If synthesis or recognition failed.
    """
    language = subject.language
    spoken = await speak_all(speaker, HELD_OUT[language], voice, tier)
    more = await speak_all(speaker, LONG[language], voice, tier) if long else None
    speed = await time_speech(speaker, FIFTY[language], voice, tier)
    embedded = await panel.embeddings(spoken)
    finding = await panel.judge_voice(
        subject,
        spoken,
        embedded,
        long=more,
        engine=engine,
        tier=tier,
        step=step,
        speaks_as=voice,
        speed=speed,
        learned_s=learned_s,
    )
    return finding, embedded
