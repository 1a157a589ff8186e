"""The data folder is its owner's alone; what is not the program's is left as it is."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuaimei.system.privacy import close_to_others, close_umask, make_data_folder, open_to_others


@pytest.fixture
def careless() -> Iterator[None]:
    """Everything is open to everybody unless somebody takes care."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("careless")
def test_with_the_umask_closed_everything_made_is_private(tmp_path: Path) -> None:
    close_umask()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("private")
    assert not [path for path in (tmp_path / "a").rglob("*") if mode(path) & 0o077]


@pytest.mark.usefixtures("careless")
def test_a_new_data_folder_is_private(tmp_path: Path) -> None:
    make_data_folder(tmp_path / "home")
    assert mode(tmp_path / "home") == 0o700


@pytest.mark.usefixtures("careless")
def test_an_open_data_folder_is_closed_but_not_what_is_shared(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    for folder in (home / "recordings" / "sess", home / "models" / "kokoro", outside):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    (home / "recordings" / "sess" / "run.sh").touch(0o755)
    (home / "elsewhere").symlink_to(outside)
    found = set(open_to_others(home))
    assert close_to_others(home) == len(found) == 5
    assert not list(open_to_others(home))
    assert mode(home) == 0o700
    assert mode(home / "recordings" / "sess" / "file") == 0o600
    assert mode(home / "recordings" / "sess" / "run.sh") == 0o700
    assert mode(home / "models" / "kokoro" / "file") == 0o666
    assert mode(outside) == mode(outside / "file") | 0o111 == 0o777


@pytest.mark.usefixtures("careless")
def test_somebodys_home_is_not_the_programs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "letters").mkdir()
    tmp_path.chmod(0o755)

    class Entry:
        pw_dir = str(tmp_path)

    monkeypatch.setattr("pwd.getpwall", lambda: [Entry()])
    close_to_others(tmp_path)
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "letters") == 0o777
    assert mode(tmp_path / "recordings") == 0o700


@pytest.mark.usefixtures("careless")
def test_a_place_for_everybodys_files_is_not_the_programs_own(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    tmp_path.chmod(0o1777)
    close_to_others(tmp_path)
    assert mode(tmp_path) == 0o1777
    assert mode(tmp_path / "letters") == 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.usefixtures("careless")
def test_what_belongs_to_others_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "recordings" / "theirs").mkdir(parents=True)
    os.chown(home / "recordings" / "theirs", 65534, 65534)
    close_to_others(home)
    assert mode(home / "recordings") == 0o700
    assert mode(home / "recordings" / "theirs") == 0o777
    os.chown(home, 65534, 65534)
    home.chmod(0o777)
    close_to_others(home)
    assert mode(home) == 0o777


def test_where_there_is_nothing_there_is_nothing_to_close(tmp_path: Path) -> None:
    assert close_to_others(tmp_path / "nowhere") == 0
