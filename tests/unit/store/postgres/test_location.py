"""Where root has the database: found again, moved whole or not at all, and never another's."""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kuaimei.errors import StoreError
from kuaimei.store.postgres import location
from kuaimei.store.postgres.location import Abandoned, abandoned, base_for, place_of, remove_place
from kuaimei.system.processes import Account

OWN = Account("me", os.geteuid(), os.getegid())


class Killed(BaseException):
    """As by SIGKILL: nothing is caught on the way."""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Below a folder through which anybody may pass, whatever the temporary folder lets through."""
    monkeypatch.setattr(location, "_require_passable", lambda *_: None)
    return tmp_path / "base"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home / "postgres"


def fill(folder: Path) -> None:
    (folder / "data" / "base").mkdir(parents=True)
    (folder / "data" / "PG_VERSION").write_text("18\n")
    (folder / "data" / "base" / "rows").write_text("everything said")
    (folder / "log").write_text("ready")


def holds_all(folder: Path) -> bool:
    return (folder / "data" / "base" / "rows").read_text() == "everything said" and (folder / "log").exists()


def test_a_new_one_is_private_and_found_again(base: Path, folder: Path) -> None:
    place = place_of(folder, base, OWN)
    assert folder.is_symlink()
    assert folder.resolve() == place
    assert place.parent == base
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE(base.stat().st_mode) == 0o755
    assert place_of(folder, base, OWN) == place
    assert not list(abandoned(base))


def test_a_data_folder_made_anew_never_meets_the_old_database(base: Path, folder: Path) -> None:
    old = place_of(folder, base, OWN)
    fill(old)
    shutil.rmtree(folder.parent)
    folder.parent.mkdir()
    assert place_of(folder, base, OWN) != old
    assert list(abandoned(base)) == [Abandoned(old, folder.parent)]


def test_a_data_folder_that_was_moved_keeps_its_database(base: Path, folder: Path, tmp_path: Path) -> None:
    place = place_of(folder, base, OWN)
    moved = folder.parent.rename(tmp_path / "moved") / "postgres"
    assert place_of(moved, base, OWN) == place
    assert not list(abandoned(base))


def test_a_copy_of_a_data_folder_does_not_share_the_database(
    base: Path, folder: Path, tmp_path: Path
) -> None:
    place_of(folder, base, OWN)
    shutil.copytree(folder.parent, tmp_path / "copy", symlinks=True)
    with pytest.raises(StoreError, match="is a copy of"):
        place_of(tmp_path / "copy" / "postgres", base, OWN)
    (tmp_path / "copy" / "postgres").unlink()
    assert place_of(tmp_path / "copy" / "postgres", base, OWN) != folder.resolve()


def test_the_same_data_folder_by_another_path_is_no_copy(base: Path, folder: Path, tmp_path: Path) -> None:
    place = place_of(folder, base, OWN)
    (tmp_path / "link").symlink_to(folder.parent)
    assert place_of(tmp_path / "link" / "postgres", base, OWN) == place


def test_a_database_that_is_gone_is_not_silently_made_anew(base: Path, folder: Path) -> None:
    shutil.rmtree(place_of(folder, base, OWN))
    with pytest.raises(StoreError, match="restore it"):
        place_of(folder, base, OWN)


def test_a_link_to_anywhere_is_refused(base: Path, folder: Path, tmp_path: Path) -> None:
    folder.symlink_to(tmp_path)
    with pytest.raises(StoreError, match="did not create"):
        place_of(folder, base, OWN)


def test_deleting_leaves_nothing(base: Path, folder: Path) -> None:
    fill(place_of(folder, base, OWN))
    remove_place(folder)
    assert not list(base.iterdir())
    assert not folder.is_symlink()


def test_where_others_may_write_it_is_refused(base: Path, folder: Path) -> None:
    base.mkdir()
    base.chmod(0o777)
    with pytest.raises(StoreError, match="only root can write"):
        place_of(folder, base, OWN)


def test_a_base_in_the_data_folder_gives_way_to_one_beside_it(tmp_path: Path) -> None:
    home = tmp_path / "kuaimei"
    assert base_for(home, home) == tmp_path / "kuaimei-database"
    assert base_for(home, home / "x") == tmp_path / "kuaimei-database"
    assert base_for(home, tmp_path / "other") == tmp_path / "other"


def test_what_would_go_with_the_container_is_refused(
    base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {folder.parent: "ext4", base: "overlay"}
    monkeypatch.setattr(location, "_kind_of_disk", kinds.get)
    with pytest.raises(StoreError, match="container is removed"):
        place_of(folder, base, OWN)
    assert not list(base.iterdir())
    kinds[folder.parent] = "overlay"  # then the data folder lasts no longer
    assert place_of(folder, base, OWN).is_dir()


def test_the_kind_of_disk_is_known() -> None:
    assert location._kind_of_disk(Path("/proc/self")) == "proc"


def test_what_an_earlier_version_is_using_is_not_moved(base: Path, folder: Path) -> None:
    fill(folder)
    users = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(users, fcntl.LOCK_SH)
    with pytest.raises(StoreError, match="earlier version"):
        place_of(folder, base, OWN)
    assert not folder.is_symlink()
    os.close(users)
    assert holds_all(place_of(folder, base, OWN))


@pytest.mark.parametrize("across", [False, True], ids=["within a file system", "across file systems"])
def test_a_move_can_be_cut_off_anywhere(
    across: bool, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before its first, second, third … operation: the next start has all of it, in one place."""
    stops = 0
    while cut_off(stops, across, tmp_path / f"home-{stops}" / "postgres", base, monkeypatch):
        stops += 1
    assert stops > (9 if across else 6)
    assert not list(abandoned(base))


def cut_off(at: int, across: bool, folder: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """False if the move was over before operation ``at``."""
    fill(folder)
    left = at

    def killing(operation: Callable[..., object]) -> Callable[..., object]:
        def operate(*arguments: object, **named: object) -> object:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            if across and operation is rename and arguments[0] == folder and arguments[1] != moved:
                raise OSError(errno.EXDEV, "across file systems")
            return operation(*arguments, **named)

        return operate

    moved, rename = folder.with_name("postgres.moved"), Path.rename
    with monkeypatch.context() as patch:
        for owner, name in (
            (Path, "rename"),
            (Path, "replace"),
            (Path, "unlink"),
            (Path, "symlink_to"),
            (Path, "write_text"),
            (shutil, "copytree"),
            (shutil, "rmtree"),
            (os, "sync"),
            (os, "fsync"),
        ):
            patch.setattr(owner, name, killing(getattr(owner, name)))
        killed = False
        try:
            place_of(folder, base, OWN)
        except Killed:
            killed = True
    place = place_of(folder, base, OWN)
    assert holds_all(place)
    assert folder.is_symlink()
    assert place_of(folder, base, OWN) == place
    assert {path.name for path in folder.parent.iterdir()} == {"postgres", "postgres.lock"}
    # What a move that was begun anew has left is reported, or there is nothing.
    for forgotten in abandoned(base):
        assert not (forgotten.place / "data").exists()
        shutil.rmtree(forgotten.place)
    return killed
