"""Reliability of the speech analysis under other recording conditions and speaking styles."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.analysis.head import FEATURES, Head
from kuaimei.analysis.reliability import (
    CONDITIONS,
    SCORE_GATE,
    Condition,
    FeatureFigures,
    Figures,
    icc,
    quantiles,
)
from kuaimei.analysis.scoring import raw_scores
from kuaimei.analysis.types import SCORES
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.audio.resample import resample
from kuaimei.engines.prosody.types import Features
from kuaimei.evaluation.degradations import add_noise, amplify
from kuaimei.evaluation.speech_transforms import Series

__all__ = [
    "AS_IT_IS",
    "MP3",
    "NOISES_DB",
    "Clip",
    "Measurement",
    "SeriesResult",
    "degraded_takes",
    "figures",
    "follow",
]

NOISES_DB: Final = (20, 15, 12, 10, 7)
"""SNRs of the noise takes; the first is the condition of features, the others test the scores."""

AS_IT_IS: Final = "16 kHz"
MP3: Final = "MP3"

_TAKES: Final[Mapping[Condition, tuple[str, ...]]] = {
    "gain": ("-12 dB", "0 dB", "+12 dB"),
    "rate": ("8 kHz", AS_IT_IS, "48 kHz"),
    "noise": (AS_IT_IS, "20 dB SNR"),
    "mp3": (AS_IT_IS, MP3),
}
_HERTZ: Final = {"8 kHz": 8_000, AS_IT_IS: ASR_RATE, "48 kHz": 48_000}


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance.

    Attributes:
        name: Name of the clip.
        pcm: Int16 samples at ``rate`` Hz.
        rate: Sample rate in Hz.
        transcript: What is said; empty: unknown.
        language: ``zh`` or ``en``; None: unknown.
        speaker: Shared by recordings of the same speaker saying the same.
    """

    name: str
    pcm: Pcm = field(repr=False)
    rate: int
    transcript: str
    language: str | None
    speaker: str


@dataclass(slots=True)
class Measurement:
    """Features measured of a clip, by take.

    Attributes:
        clip: The clip.
        features: Features by the label of the take.
    """

    clip: Clip
    features: dict[str, Features] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """Response of a score to a gradual change of speaking style.

    Attributes:
        series: The change.
        values: Score at each step, one row for each clip, shape ``(clips, steps + 1)``.
    """

    series: Series
    values: tuple[tuple[float, ...], ...]

    @property
    def means(self) -> tuple[float, ...]:
        """Means over the clips, by step."""
        return tuple(fmean(step) for step in zip(*self.values, strict=True))

    @property
    def follows(self) -> bool:
        """True if on average every step changes the score in the expected direction."""
        return bool(np.all(self._steps(self.means) > 0.0))

    @property
    def clips_that_follow(self) -> int:
        """Number of clips with no step against the expected direction and a change overall."""
        return sum(bool(np.all(self._steps(row) >= 0.0)) and row[0] != row[-1] for row in self.values)

    def _steps(self, row: Sequence[float]) -> NDArray[np.float64]:
        return np.diff(row) * (1.0 if self.series.rises else -1.0)


def degraded_takes(clip: Clip, mp3: tuple[Pcm, int], seed: int) -> Iterator[tuple[str, Pcm, int]]:
    """Yield label, samples and rate of each take of ``clip``.

    Args:
        clip: The clip.
        mp3: The clip after MP3 at 64 kbit/s, and its rate in Hz.
        seed: Seed of the noise.
    """
    plain = resample(clip.pcm, clip.rate, ASR_RATE)
    yield AS_IT_IS, plain, ASR_RATE
    for gain_db in (-12, 0, 12):
        yield f"{gain_db:+d} dB".replace("+0", "0"), amplify(plain, gain_db), ASR_RATE
    for label in ("8 kHz", "48 kHz"):
        yield label, resample(clip.pcm, clip.rate, _HERTZ[label]), _HERTZ[label]
    for snr_db in NOISES_DB:
        yield f"{snr_db} dB SNR", add_noise(plain, ASR_RATE, snr_db, seed), ASR_RATE
    yield MP3, *mp3


def figures(heard: Sequence[Measurement], head: Head, *, extractor: str, speech: str) -> Figures:
    """Compute the reliability of features and scores; see `Figures`.

    Args:
        heard: Measurements of the clips.
        head: Scoring head.
        extractor: Name and version of the extractor.
        speech: Description of the clips.
    """
    tables = {label: _table(heard, label) for label in heard[0].features}
    again = _again(heard)
    features: dict[str, FeatureFigures] = {}
    for at, name in enumerate(FEATURES):
        found: dict[Condition, float | None] = {}
        for condition in CONDITIONS:
            if condition == "again":
                ratings = again[:, :, at]
            else:
                ratings = np.stack([tables[label][:, at] for label in _TAKES[condition]], axis=1)
            found[condition] = _rounded(icc(ratings))
        values = tables[AS_IT_IS][:, at]
        values = values[np.isfinite(values)]
        features[name] = FeatureFigures(
            icc=found,
            quantiles=tuple(float(f"{one:.4g}") for one in quantiles(values.tolist())),
            clips=len(values),
        )
    scores: dict[str, dict[int, float | None]] = {score: {} for score in SCORES}
    heard_snr: dict[int, float] = {}
    quiet = _scores(heard, AS_IT_IS, head)
    for snr_db in NOISES_DB:
        noisy = _scores(heard, f"{snr_db} dB SNR", head)
        for index, score in enumerate(SCORES):
            scores[score][snr_db] = _rounded(icc(np.stack([quiet[:, index], noisy[:, index]], axis=1)))
        told = [one.features[f"{snr_db} dB SNR"].snr_db for one in heard]
        heard_snr[snr_db] = round(float(np.median([one for one in told if one is not None] or [0.0])), 1)
    return Figures(
        made=datetime.now(UTC).date(),
        extractor=extractor,
        speech=speech,
        clips=len(heard),
        features=features,
        scores=scores,
        heard_snr_db=heard_snr,
        floor_snr_db=_floor(scores, heard_snr),
    )


def follow(
    clips: Sequence[Clip],
    series: Series,
    steps: int,
    measured: Callable[[Clip, Pcm, int], Features],
    head: Head,
) -> SeriesResult:
    """Measure the score of a series for each clip at each step.

    Args:
        clips: Clips to modify.
        series: Change of speaking style.
        steps: Number of steps beside the unmodified clip.
        measured: Extracts features from samples (with their rate in Hz) of a clip.
        head: Scoring head.
    """
    rows = []
    for clip in clips:
        plain = resample(clip.pcm, clip.rate, ASR_RATE)
        row = []
        for step in range(steps + 1):
            features = measured(clip, series.shape(plain, ASR_RATE, step), ASR_RATE)
            row.append(float(getattr(raw_scores(features, head).score, series.score)))
        rows.append(tuple(row))
    return SeriesResult(series, tuple(rows))


def _table(heard: Sequence[Measurement], label: str) -> NDArray[np.float64]:
    """Return a row for each clip, a column for each feature; NaN where it could not be measured."""
    return np.array(
        [
            [np.nan if value is None else value for value in asdict(one.features[label]).values()]
            for one in heard
        ],
        np.float64,
    )


def _again(heard: Sequence[Measurement]) -> NDArray[np.float64]:
    """Return repeated recordings, shape ``(speakers, recordings, features)``, cut to the fewest."""
    table = _table(heard, AS_IT_IS)
    rows: dict[str, list[int]] = {}
    for at, one in enumerate(heard):
        rows.setdefault(one.clip.speaker, []).append(at)
    several = [found for found in rows.values() if len(found) > 1]
    if not several:
        return np.zeros((0, 2, len(FEATURES)))
    fewest = min(map(len, several))
    return np.stack([table[found[:fewest]] for found in several])


def _scores(heard: Sequence[Measurement], label: str, head: Head) -> NDArray[np.float64]:
    found = [raw_scores(one.features[label], head).score for one in heard]
    return np.array([[getattr(one, score) for score in SCORES] for one in found], np.float64)


def _floor(scores: Mapping[str, Mapping[int, float | None]], heard_snr: Mapping[int, float]) -> float | None:
    floor = None
    for snr_db in NOISES_DB:
        if any((scores[score][snr_db] or 0.0) < SCORE_GATE for score in SCORES):
            break
        floor = heard_snr[snr_db]
    return floor


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
