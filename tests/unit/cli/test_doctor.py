"""What `kuaimei doctor` says of the environment for learning voices."""

from pathlib import Path
from typing import Any

import pytest

from kuaimei.cli.doctor import learning_findings
from kuaimei.settings import Settings, VoiceSettings
from kuaimei.voices.environment.places import places


def found(home: Path, **voices: Any) -> tuple[str, str, str]:
    settings = Settings(home=home, voices=VoiceSettings(**{"environment": "cpu", **voices}))
    (finding,) = learning_findings(settings)
    assert finding.check == "learning"
    return finding.verdict, finding.found, finding.mend


def test_it_is_not_made_yet_being_made_or_there(tmp_path: Path) -> None:
    place = places(tmp_path, "cpu")
    assert "kuaimei setup" in found(tmp_path)[2]
    with place.claimed():
        assert "being made now" in found(tmp_path)[1]
    place.python.parent.mkdir(parents=True)
    place.python.touch()
    assert str(place.python) in found(tmp_path)[1]


@pytest.mark.parametrize(
    ("voices", "verdict", "told"),
    [({"environment": "off"}, "ok", "left out"), ({"python": "/nowhere"}, "fail", "missing")],
)
def test_it_is_left_out_or_the_named_interpreter_is_missing(
    tmp_path: Path, voices: dict[str, str], verdict: str, told: str
) -> None:
    assert found(tmp_path, **voices)[0] == verdict
    assert told in found(tmp_path, **voices)[1]
