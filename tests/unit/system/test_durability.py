"""What is written is on the disk, what is deleted is gone from it, a failure is never called a success."""

import ast
import fcntl
import os
from collections import Counter
from pathlib import Path

import pytest

import kuaimei
from kuaimei.system import durability


class Journal:
    """Notes what is done to the disk, in its order; everything is really done."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        fsync, rename, unlink, rmdir = os.fsync, Path.rename, Path.unlink, os.rmdir

        def noted_fsync(file: int) -> None:
            place = Path(os.readlink(f"/proc/self/fd/{file}"))
            kind = "folder" if place.is_dir() else "file"
            self.lines.append(f"fsync {kind} {place.name}")
            fsync(file)

        def noted_rename(path: Path, target: Path) -> Path:
            self.lines.append(f"rename {Path(target).name}")
            return rename(path, target)

        def noted_unlink(path: Path, missing_ok: bool = False) -> None:
            unlink(path, missing_ok)
            self.lines.append(f"unlink {path.name}")

        def noted_rmdir(path: str) -> None:
            rmdir(path)
            self.lines.append(f"rmdir {Path(path).name}")

        patch.setattr(os, "fsync", noted_fsync)
        patch.setattr(os, "rmdir", noted_rmdir)
        patch.setattr(Path, "rename", noted_rename)
        patch.setattr(Path, "unlink", noted_unlink)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    return Journal(monkeypatch)


def test_a_file_is_written_in_an_order_that_survives_a_power_cut(tmp_path: Path, journal: Journal) -> None:
    durability.write_file(tmp_path / "new" / "a.bin", b"12345", tmp_path / "part")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"12345"
    assert journal.lines == [
        f"fsync folder {tmp_path.name}",  # that it has a new folder
        "fsync file part",
        "rename a.bin",
        "fsync folder new",
    ]


def test_a_file_is_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * 3_000_000)
    durability.write_file(tmp_path / "a.bin", tmp_path / "source")
    assert (tmp_path / "a.bin").read_bytes() == b"x" * 3_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "source"]


def test_what_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durability.write_file(tmp_path / "a.bin", b"before")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durability.write_file(tmp_path / "a.bin", b"after")
    assert (tmp_path / "a.bin").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_what_is_deleted_is_deleted_on_the_disk(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "a").write_text("a")
    assert durability.remove_file(tmp_path / "a")
    assert journal.lines == ["unlink a", f"fsync folder {tmp_path.name}"]
    assert not durability.remove_file(tmp_path / "a")


def test_a_tree_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "a").write_text("a")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b").write_text("b")
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "elsewhere")
    assert durability.remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert (tmp_path / "elsewhere" / "b").read_text() == "b"
    assert not durability.remove_tree(tmp_path / "tree")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError, match="manually"):
        durability.remove_tree(tmp_path / "link")


def test_a_tree_that_does_not_go_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "reference.wav").write_text("a voice")

    def refused(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(PermissionError):
        durability.remove_tree(tmp_path / "tree")
    assert (tmp_path / "tree" / "reference.wav").exists()


def test_a_move_is_known_in_both_folders(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "from" / "a").write_text("a")
    durability.rename(tmp_path / "from" / "a", tmp_path / "to" / "b")
    assert journal.lines == ["rename b", "fsync folder to", "fsync folder from"]


def test_what_is_being_written_is_not_abandoned(tmp_path: Path) -> None:
    path = tmp_path / "part"
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not durability.is_abandoned(path)
    assert durability.is_abandoned(path)
    assert not durability.is_abandoned(tmp_path / "never")


def test_no_deletion_of_what_people_said_looks_away() -> None:
    """A tree that is deleted with its errors ignored is called gone while it is there."""
    source = Path(kuaimei.__file__).parent
    careless: Counter[str] = Counter()
    for path in sorted(source.rglob("*.py")):
        if path.relative_to(source).parts[0] == "models":
            continue  # weights: everybody may have those
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        used = [node for node in nodes if isinstance(node, ast.Attribute) and node.attr == "rmtree"]
        careless.update(path.relative_to(source).as_posix() for _ in used)
    # In none of these is anything that was said: a cluster never made whole, the folder of a run with nothing
    # left but its lock, programs and packages, and folders of sockets and of files without names.
    assert careless == {
        "store/postgres/embedded_server.py": 1,
        "store/spool.py": 1,
        "store/postgres/binaries.py": 1,
        "system/folders.py": 3,
        "voices/training/environment/install.py": 3,
    }
