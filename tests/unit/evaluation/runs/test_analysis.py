"""What the bench tells, and how it is asked; the measuring is in the integration tests."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kuaimei.cli.bench as command
from kuaimei.analysis.head import FEATURES
from kuaimei.analysis.reliability import FeatureFigures, Figures
from kuaimei.cli.bench import app
from kuaimei.cli.progress import _lines
from kuaimei.evaluation.runs.analysis import Plan
from kuaimei.evaluation.runs.analysis_report import Agreement, Report, SeriesReport, tables
from kuaimei.settings import Settings


def feature(noise: float | None) -> FeatureFigures:
    found = {"gain": 1.0, "rate": 0.99, "noise": noise, "mp3": 0.98, "again": None}
    return FeatureFigures(icc=found, quantiles=(1.0, 2.0, 3.0, 4.0, 5.0), clips=9)


FIGURES = Figures(
    made=date(2026, 1, 1),
    extractor="own-1",
    speech="somebody",
    clips=9,
    features={name: feature(0.5 if name == "jitter" else 0.9) for name in FEATURES},
    scores={
        "confidence": {20: 0.9, 10: 0.4},
        "stability": {20: 0.8, 10: 0.6},
        "affability": {20: 0.7, 10: None},
    },
    heard_snr_db={20: 21.0, 10: 11.0},
    floor_snr_db=21.0,
)

REPORT = Report(
    figures=FIGURES,
    head="a head",
    used=["jitter", "rate_syl_s"],
    series=[
        SeriesReport(
            name="hesitant",
            score="confidence",
            rises=False,
            means=[0.6, 0.5, 0.4, 0.3, 0.2, 0.1],
            follows=True,
            clips=6,
            clips_that_follow=5,
        )
    ],
    agreement=[
        Agreement(meter="praat", feature="jitter", concordance=0.7, difference=0.001, limits=0.01),
        Agreement(meter="praat", feature="hnr_db", concordance=None, difference=None, limits=None),
    ],
    ms_per_s={"own": 12.0, "praat": 80.0},
)


def verdicts(title: str) -> dict[str, str]:
    (rows,) = (rows for name, _, rows in tables(REPORT) if name.startswith(title))
    return {str(row[0] if title != "Comparison" else row[1]): str(row[-1]) for row in rows}


def test_every_line_has_a_verdict() -> None:
    found = verdicts("ICC(2,1) over")
    assert found["rate_syl_s"] == "reliable"
    assert found["jitter"] == "USED, NOT RELIABLE"
    assert verdicts("ICC(2,1) of the scores") == {"20": "scored", "10": "too noisy"}
    assert verdicts("Modified speaking styles") == {"hesitant": "follows"}
    assert verdicts("Comparison") == {"jitter": "near", "hnr_db": "unknown"}
    assert verdicts("Cost") == {"own": "ok", "praat": "slow"}


def test_rows_are_as_wide_as_the_header() -> None:
    for _, columns, rows in tables(REPORT):
        assert rows
        assert {len(row) for row in rows} == {len(columns)}


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    asked: list[Plan] = []

    async def examine(
        settings: Settings, plan: Plan, note: Callable[[str], None], progress: Callable[[str, int, int], None]
    ) -> Report:
        asked.append(plan)
        progress("measured", 1, 1)
        return REPORT

    monkeypatch.setattr(command, "examine", examine)
    return asked


def test_json_is_the_whole_report_and_save_keeps_the_figures(plans: list[Plan], tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    arguments = ["analysis", str(tmp_path), "--shaped", "3", "--json", "--save", str(kept)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert Report.model_validate(json.loads(done.stdout)) == REPORT
    assert Figures.model_validate_json(kept.read_text(encoding="utf-8")) == FIGURES
    assert plans == [Plan(tmp_path, 24, 3)]


def test_without_a_folder_speech_is_made(plans: list[Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    done = CliRunner().invoke(app, ["analysis", "--made", "8"], catch_exceptions=False)
    assert plans == [Plan(None, 8, 12)]
    assert done.exit_code == 0


def test_fewer_clips_than_tell_anything_are_refused(plans: list[Plan]) -> None:
    assert CliRunner().invoke(app, ["analysis", "--made", "4"]).exit_code == 2
    assert not plans


def test_off_a_terminal_progress_is_now_and_then_a_line() -> None:
    lines: list[str] = []
    times = iter([0.0, 1.0, 6.0, 7.0, 8.0])
    told = _lines(lines.append, lambda: next(times))
    for done in range(1, 5):
        told("measured", done, 4)
    assert lines == ["measured: 2 of 4", "measured: 4 of 4"]
