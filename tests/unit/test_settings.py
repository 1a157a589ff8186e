"""Where settings come from, and which of two that contradict each other is obeyed."""

from pathlib import Path

import pytest

from kuaimei.settings import Settings


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The data folder, and another one in which the program is started."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("KUAIMEI_HOME", str(home))
    monkeypatch.chdir(here)
    return home, here


def test_the_file_in_the_data_folder_is_read(folders: tuple[Path, Path]) -> None:
    (folders[0] / "kuaimei.toml").write_text('voice = "kept"\n[server]\nmax_sessions = 3\n')
    settings = Settings()
    assert (settings.voice, settings.server.max_sessions) == ("kept", 3)


def test_also_if_the_folder_is_an_argument(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "kuaimei.toml").write_text('voice = "given"\n')
    (folders[0] / "kuaimei.toml").write_text('voice = "kept"\n')
    assert Settings(home=tmp_path).voice == "given"


def test_the_nearer_wins_and_the_rest_stays(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, here = folders
    (home / "kuaimei.toml").write_text('voice = "kept"\n[server]\nmax_sessions = 3\nmax_waiting = 4\n')
    (here / "kuaimei.toml").write_text('voice = "here"\n[server]\nmax_sessions = 5\n')
    settings = Settings()
    assert (settings.voice, settings.server.max_sessions, settings.server.max_waiting) == ("here", 5, 4)
    monkeypatch.setenv("KUAIMEI_VOICE", "environment")
    assert Settings().voice == "environment"
    assert Settings(voice="argument").voice == "argument"
