"""What the doctor finds without opening anything."""

from pathlib import Path
from typing import Any

import pytest

from kuaimei.cli.doctor import _secret_fields, _secrets, learning_findings
from kuaimei.settings import Settings, VoiceSettings
from kuaimei.voices.training.environment.paths import places


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUAIMEI_CONFIG", raising=False)
    return tmp_path


def test_every_secret_is_known() -> None:
    assert {*_secret_fields(Settings)} == {"remote_key", "api_key", "credential", "secret"}


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ('[server]\napi_key = "a-key-of-some-length"\n', "api_key"),
        ('[engines]\nremote_key = "x"\n', "remote_key"),
        ('[store]\ndatabase_url = "postgresql://me:pass@db/kuaimei"\n', "database_url"),
        ('llm = "http://me:pass@box/v1"\n', "llm"),
        ('[[server.ice_servers]]\nurls = ["turn:a:1"]\nsecret = "x"\n', "secret"),
    ],
)
def test_a_secret_that_others_can_read_is_told(home: Path, text: str, held: str) -> None:
    path = home / "kuaimei.toml"
    path.write_text(text)
    for mode, verdict in ((0o644, "warn"), (0o640, "warn"), (0o600, "ok")):
        path.chmod(mode)
        (finding,) = _secrets(Settings.model_construct(home=home))
        assert finding.verdict == verdict
        assert (f"contains {held} and" in finding.found) == (verdict == "warn")
        assert finding.mend == (f"chmod 600 {path}" if verdict == "warn" else "")
        assert "pass@" not in finding.found


def test_what_holds_none_may_be_read(home: Path) -> None:
    assert list(_secrets(Settings.model_construct(home=home))) == []
    (home / "kuaimei.toml").write_text('voice = "zf_a"\n[store]\ndatabase_url = "postgresql://db/x"\n')
    (finding,) = _secrets(Settings.model_construct(home=home))
    assert finding.verdict == "ok"


def test_a_file_that_was_named_is_looked_at_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = home / "named.toml"
    named.write_text('[server]\napi_key = "a-key-of-some-length"\n')
    named.chmod(0o644)
    monkeypatch.setenv("KUAIMEI_CONFIG", str(named))
    (finding,) = _secrets(Settings.model_construct(home=home))
    assert (finding.verdict, finding.mend) == ("warn", f"chmod 600 {named}")


def found(home: Path, **voices: Any) -> tuple[str, str, str]:
    settings = Settings(home=home, voices=VoiceSettings(**{"environment": "cpu", **voices}))
    (finding,) = learning_findings(settings)
    assert finding.check == "learning"
    return finding.verdict, finding.found, finding.mend


def test_it_is_not_made_yet_being_made_or_there(tmp_path: Path) -> None:
    place = places(tmp_path, "cpu")
    assert "kuaimei setup" in found(tmp_path)[2]
    with place.claimed():
        assert "being installed" in found(tmp_path)[1]
    place.python.parent.mkdir(parents=True)
    place.python.touch()
    assert str(place.python) in found(tmp_path)[1]


@pytest.mark.parametrize(
    ("voices", "verdict", "told"),
    [({"environment": "off"}, "ok", "disabled"), ({"python": "/nowhere"}, "fail", "missing")],
)
def test_it_is_left_out_or_the_named_interpreter_is_missing(
    tmp_path: Path, voices: dict[str, str], verdict: str, told: str
) -> None:
    assert found(tmp_path, **voices)[0] == verdict
    assert told in found(tmp_path, **voices)[1]
