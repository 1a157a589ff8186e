"""All evaluators of a voice together."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.pitch import PitchSummary, summarise_pitch, track_pitch
from kuaimei.engines.protocols import Recognizer
from kuaimei.engines.speaker import SpeakerEncoder
from kuaimei.engines.types import Language
from kuaimei.evaluation.dnsmos import Dnsmos
from kuaimei.evaluation.intelligibility import count_units, error_rate_of, transcribe
from kuaimei.evaluation.pitch import compare_pitch
from kuaimei.evaluation.report import Naturalness, PitchReport, Similarity, Speed, Stage, Tier, VoiceReport
from kuaimei.evaluation.similarity import embed_all, likeness
from kuaimei.evaluation.synthesize import SynthesizedSet

__all__ = ["SpeakerEvaluator", "Subject"]

_JUDGE: Final = "eres2net"
"""Encoder that is in no loss, so that no voice was fitted to it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Speaker with the reference measurements that renderings are compared with.

    Attributes:
        name: Name of the reference's file.
        language: Language of the reference.
        seen: Embeddings by encoder of the half that voices are fitted to.
        unseen: Embeddings by encoder of the other half.
        pitch: Pitch of the whole reference; None: hardly any of it is voiced.
        stock: By tier, embeddings by encoder of the sentences in the nearest stock voice, shape ``(n, d)``.
        stock_errors: Error rate of the nearest stock voice by tier.
    """

    name: str
    language: Language
    seen: Mapping[str, NDArray[np.float32]]
    unseen: Mapping[str, NDArray[np.float32]]
    pitch: PitchSummary | None
    stock: Mapping[Tier, Mapping[str, NDArray[np.float32]]]
    stock_errors: Mapping[Tier, float]


class SpeakerEvaluator:
    """Evaluates renderings, all with the same models.

    Args:
        encoders: Speaker encoders by name.
        dnsmos: Rates the sound quality.
        recognizer: Transcribes what is said.
    """

    def __init__(
        self, encoders: Mapping[str, SpeakerEncoder], dnsmos: Dnsmos, recognizer: Recognizer
    ) -> None:
        self._encoders = encoders
        self._dnsmos = dnsmos
        self._recognizer = recognizer

    @property
    def judge(self) -> str:
        """Name of the encoder whose similarity counts."""
        return _JUDGE if _JUDGE in self._encoders else next(iter(self._encoders))

    async def add_subject(self, name: str, language: Language, seen: Pcm, unseen: Pcm, rate: int) -> Subject:
        """Create a speaker without stock-voice results from the two halves of the reference.

        Args:
            name: Name of the speaker.
            language: Language of the reference.
            seen: The half that voices are fitted to.
            unseen: The other half.
            rate: Sample rate of both in Hz.
        """

        def listen() -> Subject:
            return Subject(
                name=name,
                language=language,
                seen={key: encoder.embed(seen, rate) for key, encoder in self._encoders.items()},
                unseen={key: encoder.embed(unseen, rate) for key, encoder in self._encoders.items()},
                pitch=summarise_pitch(track_pitch(seen, rate), track_pitch(unseen, rate)),
                stock={},
                stock_errors={},
            )

        return await asyncio.to_thread(listen)

    async def embeddings(self, spoken: SynthesizedSet) -> dict[str, NDArray[np.float32]]:
        """Return the embeddings of every clip, by encoder; shape ``(n, d)``."""

        def listen() -> dict[str, NDArray[np.float32]]:
            return {
                key: embed_all(encoder, spoken.clips, spoken.rate) for key, encoder in self._encoders.items()
            }

        return await asyncio.to_thread(listen)

    async def judge_voice(
        self,
        subject: Subject,
        spoken: SynthesizedSet,
        embedded: Mapping[str, NDArray[np.float32]],
        *,
        long: SynthesizedSet | None = None,
        engine: str,
        tier: Tier,
        step: Stage,
        speaks_as: str,
        speed: Speed,
        learned_s: float = 0.0,
    ) -> VoiceReport:
        """Evaluate one rendering.

        Args:
            subject: Speaker that the voice should resemble.
            spoken: The held-out sentences.
            embedded: Their `embeddings`.
            long: More text for the error rate; None: the sentences alone.
            engine: Name of the engine that spoke.
            tier: Tier that it spoke in.
            step: Training stage of the voice.
            speaks_as: Id of the voice.
            speed: Measured speed.
            learned_s: Seconds that training this step took.
        """
        floor = embedded if step == "stock" else subject.stock.get(tier, {})
        similarity = {
            key: Similarity.of(likeness(rows, subject.unseen[key], subject.seen[key], stock=floor.get(key)))
            for key, rows in embedded.items()
        }
        texts: list[str] = []
        written: list[str] = []
        for part in (spoken, long) if long is not None else (spoken,):
            texts += part.texts
            written += await transcribe(self._recognizer, part, subject.language)
        errors = error_rate_of(texts, written, subject.language)
        stock_errors = subject.stock_errors.get(tier)
        over = None if step == "stock" or stock_errors is None else 100.0 * (errors - stock_errors)
        opinions, pitch = await asyncio.to_thread(self._transcribe, spoken, subject)
        return VoiceReport(
            voice=subject.name,
            language=subject.language,
            engine=engine,
            tier=tier,
            step=step,
            speaks_as=speaks_as,
            sentences=len(spoken.texts),
            characters=count_units(texts, subject.language),
            similarity=similarity,
            judge=self.judge,
            error_rate=round(errors, 4),
            error_over_stock=None if over is None else round(over, 2),
            dnsmos=opinions,
            pitch=pitch,
            speed=speed,
            learned_s=round(learned_s, 1),
        )

    def _transcribe(self, spoken: SynthesizedSet, subject: Subject) -> tuple[Naturalness, PitchReport | None]:
        opinions = Naturalness.of([self._dnsmos.rate(clip, spoken.rate) for clip in spoken.clips])
        summary = _summary(spoken.clips, spoken.rate)
        if summary is None or subject.pitch is None:
            return opinions, None
        return opinions, PitchReport.of(summary, subject.pitch, compare_pitch(summary, subject.pitch))


def _summary(clips: Sequence[Pcm], rate: int) -> PitchSummary | None:
    return summarise_pitch(*(track_pitch(clip, rate) for clip in clips))
