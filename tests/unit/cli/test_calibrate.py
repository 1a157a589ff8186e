"""The command; what it gathers from the store and from files is in the integration tests."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import kuaimei.cli.calibrate as command
from kuaimei.analysis.calibration import Sample
from kuaimei.analysis.head import shipped_head
from kuaimei.analysis.head_store import kept_heads, load_head
from kuaimei.analysis.labels import Label
from kuaimei.errors import NotFound, SettingsError
from kuaimei.settings import Settings
from tests.unit.analysis.simulated import by_chance, labelled


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUAIMEI_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """What is found for whatever labels are given."""
    found = labelled(120)

    async def gather(settings: Settings, labels: Sequence[Label]) -> list[Sample]:
        return list(found)

    monkeypatch.setattr(command, "gather", gather)
    return found


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("utterance,confidence\nutt_1,3\n", encoding="utf-8")
    return path


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(command.calibrate)
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_fits_keeps_and_uses_a_head(home: Path, samples: list[Sample], labels: Path) -> None:
    told = json.loads(run(str(labels), "--json"))
    head = load_head(home)
    assert told["kept"].startswith(str(home / "analysis" / "heads"))
    assert told["head"]["version"] == head.version != shipped_head().version
    assert head.metrics["confidence"].labels == 120
    assert head.metrics["confidence"].r2 > 0.6
    assert told["worse_than_mean"] == []


def test_a_dry_run_changes_nothing(home: Path, samples: list[Sample], labels: Path) -> None:
    told = run(str(labels), "--dry-run")
    assert load_head(home) == shipped_head()
    assert not (home / "analysis").exists()
    assert isinstance(told, str)


def test_undo_goes_back_and_list_shows_all(home: Path, samples: list[Sample], labels: Path) -> None:
    run(str(labels))
    first = load_head(home).version
    run(str(labels))
    second = load_head(home).version
    assert json.loads(run("--undo", "--json")) == {"undone": second, "in_use": first}
    listed = json.loads(run("--list", "--json"))
    assert listed["in_use"] == first
    assert [(one["version"], one["in_use"], one["undone"]) for one in listed["heads"]] == [
        (second, False, True),
        (first, True, False),
    ]
    assert listed["heads"][1]["metrics"]["confidence"]["labels"] == 120
    run("--undo")
    assert load_head(home) == shipped_head()
    with pytest.raises(NotFound, match="nothing to undo"):
        run("--undo")
    run("--list")


def test_worse_than_the_mean_is_refused_unless_forced(
    home: Path, samples: list[Sample], labels: Path
) -> None:
    samples[:] = by_chance(60)
    with pytest.raises(SettingsError, match="no better than their mean; nothing was changed"):
        run(str(labels))
    assert load_head(home) == shipped_head()
    run(str(labels), "--force")
    assert [one.in_use for one in kept_heads(home)] == [True]


def test_few_labels_are_told(samples: list[Sample], labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del samples[50:]
    command.calibrate(labels, undo=False, show=False, dry_run=True, force=False, as_json=True)
    told = " ".join(capsys.readouterr().err.split())
    assert "confidence: only 50 labels" in told
    assert "stability: 0 labels are too few; its weights are not changed" in told


@pytest.mark.parametrize("arguments", [[], ["--undo", "--list"]])
def test_one_thing_at_a_time(arguments: list[str]) -> None:
    with pytest.raises(SettingsError, match="give exactly one of"):
        run(*arguments)


def test_too_few_and_bad_files_change_nothing(home: Path, samples: list[Sample], labels: Path) -> None:
    del samples[20:]
    with pytest.raises(SettingsError, match="too few labels"):
        run(str(labels))
    labels.write_text("utterance,confidence\nutt_1,much\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="row 2"):
        run(str(labels))
    assert not (home / "analysis").exists()
