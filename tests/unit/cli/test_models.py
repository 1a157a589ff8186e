import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kuaimei.cli.models as command
from kuaimei.cli.models import app, pull_missing
from kuaimei.errors import WeightsError
from kuaimei.models.catalog import Catalog, load_catalog
from kuaimei.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUAIMEI_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A catalogue of one model, whose file is on this machine."""
    import hashlib

    (tmp_path / "source").write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    file = {"path": "model.gguf", "size": 7, "sha256": sha256, "from": [f"file:{tmp_path / 'source'}"]}
    entry = {
        "name": "mini",
        "role": "llm",
        "engine": "llama",
        "summary": "for tests",
        "licence": "MIT",
        "languages": ["zh"],
        "memory_mb": 1,
        "way": [{"files": [file]}],
    }
    catalog = Catalog.parse({"model": [entry]})
    monkeypatch.setattr(command, "load_catalog", lambda: catalog)
    monkeypatch.setattr(command, "plan", lambda settings: list(catalog.entries.values()))
    return catalog


def test_the_list_is_an_interface(home: Path) -> None:
    done = CliRunner().invoke(app, ["list", "--json"])

    assert done.exit_code == 0
    shown = json.loads(done.stdout)
    assert shown["folder"] == str(home / "models")
    rows = {row["name"]: row for row in shown["models"]}
    assert set(rows) == set(load_catalog().entries)
    small = rows["whisper-small"]
    assert small["used"] is True
    assert small["installed"] is False
    assert small["licence"] == "MIT"
    assert small["sources"] == ["hf", "npm"]
    assert rows["whisper-base"]["used"] is False


def test_the_list_is_readable(home: Path) -> None:
    done = CliRunner().invoke(app, ["list"], env={"COLUMNS": "160"})
    assert done.exit_code == 0
    assert "Weights in" in done.stdout


def test_pull_verify_and_mend(home: Path, small: Catalog) -> None:
    runner = CliRunner()
    pulled = json.loads(runner.invoke(app, ["pull", "--json"]).stdout)
    assert pulled["pulled"] == ["mini"]
    assert pulled["models"][0]["installed"] is True
    assert pulled["models"][0]["sources"] == ["file"]
    weights = home / "models" / "mini" / "model.gguf"
    assert weights.read_bytes() == b"weights"
    assert json.loads(runner.invoke(app, ["pull", "--json"]).stdout)["pulled"] == []

    verified = runner.invoke(app, ["verify", "--json"])
    assert verified.exit_code == 0
    assert json.loads(verified.stdout)["models"] == [{"name": "mini", "ok": True, "problems": []}]

    weights.write_bytes(b"wEights")
    broken = runner.invoke(app, ["verify"])
    assert isinstance(broken.exception, WeightsError)
    assert "kuaimei models pull --again mini" in str(broken.exception)

    assert runner.invoke(app, ["pull", "--again", "mini"]).exit_code == 0
    assert weights.read_bytes() == b"weights"


def test_set_up_fetches_only_what_is_missing(home: Path, small: Catalog) -> None:
    settings = Settings()
    assert [entry.name for entry in pull_missing(settings)] == ["mini"]
    assert pull_missing(settings) == []


def test_unknown_models_and_nothing_to_verify_are_told(home: Path) -> None:
    unknown = CliRunner().invoke(app, ["pull", "gpt"])
    assert "unknown model 'gpt'" in str(unknown.exception)
    nothing = CliRunner().invoke(app, ["verify"])
    assert "no weights are installed" in str(nothing.exception)
