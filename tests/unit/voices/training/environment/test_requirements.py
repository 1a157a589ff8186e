from pathlib import Path

import pytest

from kuaimei.settings import Settings, VoiceSettings
from kuaimei.voices.training.environment import requirements
from kuaimei.voices.training.environment.paths import interpreter, places
from kuaimei.voices.training.environment.requirements import build_for, fingerprint, packages
from tests.support.tiny_packages import recipe, requirement

ONE = requirement("one", "1.0", b"x")


def test_what_another_machine_needs_is_left_out(tmp_path: Path) -> None:
    foreign = ONE.replace("one==1.0", "two==2.0 ; sys_platform == 'plan9'")
    given = recipe(tmp_path, "# why\n", ONE.replace(" --hash", " \\\n    --hash"), foreign)
    assert [(package.name, package.version) for package in packages(given.packages)] == [("one", "1.0")]


@pytest.mark.parametrize("line", ["one==1.0\n", "one>=1 --hash=sha256:" + "0" * 64 + "\n"])
def test_a_line_without_hash_or_version_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match="one"):
        packages(recipe(tmp_path, line).packages)


def test_another_list_or_build_is_another_environment(tmp_path: Path) -> None:
    one = recipe(tmp_path / "1", ONE)
    two = recipe(tmp_path / "2", ONE, requirement("two", "2.0", b"y"))
    assert len({fingerprint(one, "cpu"), fingerprint(one, "cuda"), fingerprint(two, "cpu")}) == 3


def test_a_graphics_card_decides_which_build_unless_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(requirements, "_DRIVER", tmp_path / "version")
    assert build_for("auto") == "cpu"
    assert build_for("cuda") == "cuda"
    (tmp_path / "version").touch()
    assert build_for("auto") == "cuda"
    assert build_for("cpu") == "cpu"


def _an_interpreter(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    return path


def test_nothing_is_executed_that_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".venv-clone", "learning-environment/0123456789ab", "learning-environment/making"):
        _an_interpreter(tmp_path / name / "bin" / "python")
    monkeypatch.chdir(tmp_path)
    assert interpreter(Settings(home=tmp_path / "home")) is None


def test_one_that_is_half_made_is_none(tmp_path: Path) -> None:
    given = recipe(tmp_path, ONE)
    place = places(tmp_path / "home", "cpu", given)
    settings = Settings(home=tmp_path / "home", voices=VoiceSettings(environment="cpu"))
    half = _an_interpreter(place.making / "bin" / "python")
    assert interpreter(settings, given) is None
    half.parents[1].rename(place.whole)
    assert interpreter(settings, given) == place.python
    place.python.unlink()
    place.python.symlink_to(tmp_path / "an interpreter that an update took away")
    assert interpreter(settings, given) is None


def test_another_interpreter_may_be_named(tmp_path: Path) -> None:
    named = _an_interpreter(tmp_path / "bin" / "python")
    assert interpreter(Settings(home=tmp_path, voices=VoiceSettings(python=str(named)))) == named
    assert interpreter(Settings(home=tmp_path, voices=VoiceSettings(python="/nowhere"))) is None
