import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kuaimei.cli.bench as command
from kuaimei.cli.bench import app
from kuaimei.errors import AudioError, EngineError, KuaimeiError, SettingsError
from kuaimei.evaluation.report import Naturalness, Similarity, Speed, VoiceReport
from kuaimei.evaluation.runs.cloning import Plan
from kuaimei.settings import Settings

FINDING = VoiceReport(
    voice="amy",
    language="zh",
    engine="kokoro",
    tier="hq",
    step="style",
    speaks_as="voice_judged",
    sentences=10,
    characters=164,
    similarity={
        "eres2net": Similarity(mean=0.61, least=0.5, ceiling=0.9, floor=0.27, reached=0.54),
        "ge2e": Similarity(mean=0.88, least=0.8, ceiling=0.95, floor=0.7, reached=0.72),
    },
    judge="eres2net",
    error_rate=0.042,
    error_over_stock=-1.2,
    dnsmos=Naturalness(overall=3.25, signal=3.5, background=4.0, p808=3.6),
    pitch=None,
    speed=Speed(whole_s=2.5, first_audio_s=0.6, audio_s=12.0),
    learned_s=330.0,
)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What was asked for; one finding is made of it, and one reference fails."""
    asked: list[Plan] = []

    async def judge_all(
        settings: Settings,
        plan: Plan,
        note: Callable[[str], None],
        failed: Callable[[str, KuaimeiError], None],
    ) -> AsyncGenerator[VoiceReport, None]:
        asked.append(plan)
        yield FINDING
        if any(one.name == "odd" for one in plan.references):
            failed("odd", EngineError("nobody speaks"))

    monkeypatch.setattr(command, "judge_all", judge_all)
    monkeypatch.setattr(command, "pull_named", lambda settings, names: [])
    return asked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "amy.wav").touch()
    return tmp_path


def test_json_is_one_object_for_each(plans: list[Plan], folder: Path) -> None:
    done = CliRunner().invoke(app, ["clone", "--voices", str(folder), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    assert [VoiceReport.model_validate(one) for one in json.loads(done.stdout)] == [FINDING]
    (plan,) = plans
    assert (plan.steps, plan.tiers, plan.long, plan.reuse) == ((), ("fast", "hq"), False, None)


def test_the_table_has_the_figures(plans: list[Plan], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(app, ["clone", "--voices", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "0.610" in done.stderr


def test_steps_and_tiers_are_taken_in_their_own_order(plans: list[Plan], folder: Path) -> None:
    chosen = ["--steps", "style, predicted", "--tiers", "hq", "--long", "--reuse", str(folder / "kept")]
    CliRunner().invoke(app, ["clone", "--voices", str(folder), *chosen], catch_exceptions=False)
    (plan,) = plans
    assert (plan.steps, plan.tiers, plan.long) == (("predicted", "style"), ("hq",), True)
    assert plan.reuse == folder / "kept"


@pytest.mark.parametrize("given", [["--steps", "magic"], ["--tiers", "slow,hq"]])
def test_what_there_is_not_is_refused(plans: list[Plan], folder: Path, given: list[str]) -> None:
    with pytest.raises(SettingsError, match="available: "):
        CliRunner().invoke(app, ["clone", "--voices", str(folder), *given], catch_exceptions=False)
    assert not plans


def test_an_empty_folder_is_told(plans: list[Plan], tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no recordings"):
        CliRunner().invoke(app, ["clone", "--voices", str(tmp_path)], catch_exceptions=False)


def test_a_reference_that_fails_does_not_hide_the_others(
    plans: list[Plan], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "odd.wav").touch()
    with pytest.raises(EngineError, match="odd was not evaluated completely: nobody speaks"):
        command.clone(voices=folder, steps="", tiers="fast", long=False, reuse=None, as_json=True)
    assert '"voice": "amy"' in capsys.readouterr().out


def test_told_to_end_it_closes_what_is_open(
    folder: Path, plans: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    async def judge_all(*_: object) -> AsyncGenerator[VoiceReport, None]:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
            yield FINDING
        finally:
            closed.append(True)

    monkeypatch.setattr(command, "judge_all", judge_all)
    with pytest.raises(KeyboardInterrupt):
        command.clone(voices=folder, steps="", tiers="fast", long=False, reuse=None, as_json=True)
    assert closed == [True]
