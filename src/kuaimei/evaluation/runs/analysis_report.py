"""Report of ``kuaimei bench analysis``, as tables and as JSON."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from kuaimei.analysis.reliability import CONDITIONS, Figures
from kuaimei.analysis.types import Score
from kuaimei.evaluation.analysis_reliability import SeriesResult

__all__ = ["Agreement", "Report", "SeriesReport", "Table", "tables"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class SeriesReport(_Model):
    """Response of a score to a gradual change of speaking style.

    Attributes:
        rises: True if the score has to rise, False if it has to fall.
        means: Means of the score over the clips, unmodified and at each step.
        follows: Every step changes the mean in the expected direction.
        clips_that_follow: Number of clips without a step against it.
    """

    name: str
    score: Score
    rises: bool
    means: list[float]
    follows: bool
    clips: int
    clips_that_follow: int

    @classmethod
    def of(cls, followed: SeriesResult) -> Self:
        """Build from ``followed``, rounded for display."""
        series = followed.series
        return cls(
            name=series.name,
            score=series.score,
            rises=series.rises,
            means=[round(value, 4) for value in followed.means],
            follows=followed.follows,
            clips=len(followed.values),
            clips_that_follow=followed.clips_that_follow,
        )


class Agreement(_Model):
    """Agreement of another meter with the one in use, on one feature.

    Attributes:
        concordance: Lin's coefficient; None: it cannot be computed.
        difference: Mean of the other minus the one in use.
        limits: Half the width of the 95 % limits of agreement around that (Bland and Altman, "Statistical
            methods for assessing agreement between two methods of clinical measurement", Lancet 327, 1986).
    """

    meter: str
    feature: str
    concordance: float | None
    difference: float | None
    limits: float | None


class Report(_Model):
    """Complete result of the benchmark.

    Attributes:
        used: Features that carry a weight in ``head``.
        ms_per_s: Milliseconds of one core per second of audio, by meter.
    """

    figures: Figures
    head: str
    used: list[str]
    series: list[SeriesReport]
    agreement: list[Agreement]
    ms_per_s: dict[str, float]


Table = tuple[str, list[str], list[list[object]]]
"""Title, columns, rows."""


def tables(report: Report) -> list[Table]:
    """Return the tables for a terminal; most rows end with a verdict."""
    found = report.figures
    made = [_reliability(report), _spread(report), _noise(found)]
    if report.series:
        made.append(_series(report))
    if report.agreement:
        made.append(_agreement(report))
    speed: list[list[object]] = [
        [name, ms, "ok" if ms <= 60.0 else "slow"] for name, ms in report.ms_per_s.items()
    ]
    made.append(("Cost", ["meter", "ms of one core per second", "verdict"], speed))
    return made


def _reliability(report: Report) -> Table:
    rows: list[list[object]] = []
    for name, one in report.figures.features.items():
        used = name in report.used
        verdict = "reliable" if one.reliable else "USED, NOT RELIABLE" if used else "not reliable"
        rows.append(
            [
                name,
                *(_three(one.icc.get(condition)) for condition in CONDITIONS),
                "yes" if used else "no",
                verdict,
            ]
        )
    title = f"ICC(2,1) over {report.figures.clips} clips: {report.figures.speech}, {report.figures.extractor}"
    columns = ["feature", "gain ±12 dB", "8/16/48 kHz", "noise 20 dB", "MP3 64k", "recorded again"]
    return title, [*columns, "used", "verdict"], rows


def _spread(report: Report) -> Table:
    rows: list[list[object]] = [
        [name, one.clips, *(f"{value:.4g}" for value in one.quantiles)]
        for name, one in report.figures.features.items()
        if one.quantiles
    ]
    return "Quantiles", ["feature", "clips", "5 %", "25 %", "50 %", "75 %", "95 %"], rows


def _noise(found: Figures) -> Table:
    rows: list[list[object]] = []
    for snr_db, heard in found.heard_snr_db.items():
        scores = [_three(by_noise[snr_db]) for by_noise in found.scores.values()]
        enough = found.floor_snr_db is not None and heard >= found.floor_snr_db
        rows.append([snr_db, heard, *scores, "scored" if enough else "too noisy"])
    return (
        "ICC(2,1) of the scores between quiet and noise",
        ["SNR in dB", "measured", *found.scores, "verdict"],
        rows,
    )


def _series(report: Report) -> Table:
    rows: list[list[object]] = [
        [
            one.name,
            f"{one.score} {'rises' if one.rises else 'falls'}",
            " ".join(f"{value:.3f}" for value in one.means),
            f"{one.clips_that_follow} of {one.clips}",
            "follows" if one.follows else "DOES NOT FOLLOW",
        ]
        for one in report.series
    ]
    columns = ["style", "expected", "unmodified, then five steps (means)", "clips, every step", "verdict"]
    return "Modified speaking styles", columns, rows


def _agreement(report: Report) -> Table:
    rows: list[list[object]] = [
        [
            one.meter,
            one.feature,
            _three(one.concordance),
            "–" if one.difference is None else f"{one.difference:+.3g}",
            "–" if one.limits is None else f"± {one.limits:.3g}",
            _agrees(one.concordance),
        ]
        for one in report.agreement
    ]
    columns = ["meter", "feature", "Lin's concordance", "difference", "95 % limits", "verdict"]
    return "Comparison with the meter in use", columns, rows


def _agrees(concordance: float | None) -> str:
    if concordance is None:
        return "unknown"
    return "agrees" if concordance >= 0.9 else "near" if concordance >= 0.65 else "differs"


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
