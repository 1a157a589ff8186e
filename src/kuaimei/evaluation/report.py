"""Report types: the measurements of a voice for each engine, tier and training stage."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from kuaimei.audio.pitch import PitchSummary
from kuaimei.engines.types import Language
from kuaimei.evaluation.dnsmos import DnsmosScores
from kuaimei.evaluation.pitch import PitchDifference
from kuaimei.evaluation.similarity import Likeness

__all__ = [
    "COLUMNS",
    "Naturalness",
    "PitchReport",
    "Similarity",
    "Speed",
    "Stage",
    "Tier",
    "VoiceReport",
    "one_line_summary",
    "table_row",
]

Tier: TypeAlias = Literal["fast", "hq"]

Stage: TypeAlias = Literal["stock", "reference", "predicted", "style", "decoder"]
"""Training stage of the voice; stock: the engine's own voice that is most similar to the speaker;
reference: the engine was given the recording and not trained."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Similarity(_Frozen):
    """Rounded `kuaimei.evaluation.similarity.Likeness`: cosines by one encoder."""

    mean: float
    least: float
    ceiling: float
    floor: float | None
    reached: float | None

    @classmethod
    def of(cls, found: Likeness) -> "Similarity":
        """Build from ``found``, rounded to three decimals."""
        reached = found.reached
        return cls(
            mean=round(found.mean, 3),
            least=round(found.least, 3),
            ceiling=round(found.ceiling, 3),
            floor=None if found.floor is None else round(found.floor, 3),
            reached=None if reached is None else round(reached, 3),
        )


class Naturalness(_Frozen):
    """Means of `kuaimei.evaluation.dnsmos.DnsmosScores`, from 1 to 5."""

    overall: float
    signal: float
    background: float
    p808: float

    @classmethod
    def of(cls, opinions: Sequence[DnsmosScores]) -> "Naturalness":
        """Build from the means of ``opinions``, rounded to two decimals."""
        count = len(opinions)
        return cls(
            overall=round(sum(o.overall for o in opinions) / count, 2),
            signal=round(sum(o.signal for o in opinions) / count, 2),
            background=round(sum(o.background for o in opinions) / count, 2),
            p808=round(sum(o.p808 for o in opinions) / count, 2),
        )


class PitchReport(_Frozen):
    """Pitch of the rendering, and its `kuaimei.evaluation.pitch.PitchDifference` from the reference."""

    mean_hz: float
    log_sd: float
    reference_mean_hz: float
    reference_log_sd: float
    mean_semitones: float
    range_semitones: float
    liveliness: float

    @classmethod
    def of(cls, spoken: PitchSummary, reference: PitchSummary, difference: PitchDifference) -> "PitchReport":
        """Build from the summaries and their difference, rounded for display.

        Args:
            spoken: Pitch of the rendering.
            reference: Pitch of the reference.
            difference: Their comparison.
        """
        return cls(
            mean_hz=round(spoken.mean_hz, 1),
            log_sd=round(spoken.log_sd, 3),
            reference_mean_hz=round(reference.mean_hz, 1),
            reference_log_sd=round(reference.log_sd, 3),
            mean_semitones=round(difference.mean_semitones, 2),
            range_semitones=round(difference.range_semitones, 2),
            liveliness=round(difference.liveliness, 2),
        )


class Speed(_Frozen):
    """Speed of synthesizing fifty characters with loaded models; medians, in seconds.

    Attributes:
        whole_s: Until all of the audio is available.
        first_audio_s: Until the first audio is available.
        audio_s: Duration of the audio.
    """

    whole_s: float
    first_audio_s: float
    audio_s: float


class VoiceReport(_Frozen):
    """All measurements of one voice in one tier at one training stage.

    Attributes:
        voice: Name of the reference's file.
        engine: Name of the engine.
        speaks_as: Id of the voice in the engine.
        characters: Number of characters (words, in English) that the error rate is based on.
        error_rate: Error rate of the recognizer on the rendering; characters (zh) or words (en).
        error_over_stock: In percentage points; None for the stock voice itself.
        learned_s: Seconds that training this step took; 0: nothing was trained.
        similarity: By encoder.
        judge: Encoder that was not used in training, the one to quote.
    """

    voice: str
    language: Language
    engine: str
    tier: Tier
    step: Stage
    speaks_as: str
    sentences: int
    characters: int
    similarity: dict[str, Similarity]
    judge: str
    error_rate: float
    error_over_stock: float | None
    dnsmos: Naturalness
    pitch: PitchReport | None
    speed: Speed
    learned_s: float


COLUMNS = [
    *("voice", "engine", "tier", "step"),
    *("similarity", "floor", "ceiling", "others"),
    *("errors %", "± stock", "DNSMOS", "F0 st", "lively", "50 ch s", "first s", "training s"),
]
"""Columns of the table; similarity, floor and ceiling are by the evaluation encoder, others beside it."""


def table_row(finding: VoiceReport) -> list[object]:
    """Return the table row of a report."""
    judged = finding.similarity[finding.judge]
    others: Mapping[str, Any] = {k: v for k, v in finding.similarity.items() if k != finding.judge}
    pitch, over = finding.pitch, finding.error_over_stock
    return [
        finding.voice,
        finding.engine,
        finding.tier,
        f"{finding.step} ({finding.speaks_as})" if finding.step == "stock" else finding.step,
        f"{judged.mean:.3f}",
        "–" if judged.floor is None else f"{judged.floor:.3f}",
        f"{judged.ceiling:.3f}",
        " ".join(f"{name} {found.mean:.3f}" for name, found in others.items()),
        f"{100 * finding.error_rate:.1f}",
        "–" if over is None else f"{over:+.1f}",
        f"{finding.dnsmos.overall:.2f}",
        "–" if pitch is None else f"{pitch.mean_semitones:+.1f}",
        "–" if pitch is None else f"{pitch.liveliness:.2f}",
        f"{finding.speed.whole_s:.2f}",
        f"{finding.speed.first_audio_s:.2f}",
        f"{finding.learned_s:.0f}",
    ]


def one_line_summary(finding: VoiceReport) -> str:
    """Return the most important figures in one line."""
    judged = finding.similarity[finding.judge]
    return (
        f"{finding.voice}: {finding.step}, {finding.tier}: similarity {judged.mean:.3f} "
        f"(ceiling {judged.ceiling:.3f}), errors {100 * finding.error_rate:.1f} %, "
        f"DNSMOS {finding.dnsmos.overall:.2f}"
    )
