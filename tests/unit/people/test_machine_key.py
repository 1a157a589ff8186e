"""The machine's own key: made once, for this account alone, whole or not at all."""

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kuaimei.errors import SettingsError
from kuaimei.people.keys import is_key
from kuaimei.people.machine_key import FILE, ensure_machine_key, read_machine_key, replace_machine_key


def test_it_is_made_once_and_only_for_this_account(tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = os.umask(0)
    try:
        key = ensure_machine_key(home)
    finally:
        os.umask(before)
    assert is_key(key)
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert ensure_machine_key(home) == read_machine_key(home) == key
    assert [path.name for path in home.iterdir()] == [FILE]


@pytest.mark.parametrize("before", ["", "km_012"])
def test_two_that_start_at_once_agree(tmp_path: Path, before: str) -> None:
    if before:  # cut off while it was written
        (tmp_path / FILE).write_text(before)
    together = threading.Barrier(8)

    def start(_: int) -> str:
        together.wait()
        return ensure_machine_key(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(start, range(8))}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_one_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("km_012")
    assert read_machine_key(tmp_path) == ""
    assert is_key(ensure_machine_key(tmp_path))


def test_another_takes_its_place(tmp_path: Path) -> None:
    old = ensure_machine_key(tmp_path)
    new = replace_machine_key(tmp_path)
    assert new != old
    assert read_machine_key(tmp_path) == new
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_it_is_on_the_disk_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        done.append("named")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    ensure_machine_key(tmp_path)
    assert done == ["file", "named", "folder"]


def test_a_full_disk_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = ensure_machine_key(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left"):
        replace_machine_key(tmp_path)
    assert read_machine_key(tmp_path) == old
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_one_that_others_could_read_is_closed_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = ensure_machine_key(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    assert read_machine_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    (told,) = [record.getMessage() for record in caplog.records]
    assert "kuaimei key --new" in told
    assert key not in told


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("km_" + "0" * 32)
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_machine_key(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(SettingsError, match="cannot be"):
        ensure_machine_key(tmp_path / "home")


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        ensure_machine_key(tmp_path)
