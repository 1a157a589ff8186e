"""What is written down for a moment leaves nothing behind, not even when the process is killed."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import kuaimei
from kuaimei.system.files import anonymous_file, path_of
from kuaimei.system.folders import (
    is_private,
    make_private_folder,
    private_folder,
    remove_own_folders,
    swept_folder,
)

SOURCES = Path(kuaimei.__file__).parent


def uses_of_temporary_files(source: str) -> list[str]:
    """Names in ``source`` by which it could get at the temporary folder."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] == "tempfile"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tempfile":
            found.append(node.module or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [node.value] if node.value.startswith("/tmp") else []
    return found


def test_nothing_but_one_place_makes_temporary_files() -> None:
    allowed = {"system/files.py", "system/folders.py", "store/postgres/binaries.py"}
    found = {
        str(file.relative_to(SOURCES)): uses
        for file in sorted(SOURCES.rglob("*.py"))
        if (uses := uses_of_temporary_files(file.read_text(encoding="utf-8")))
    }
    assert set(found) <= allowed, found


def test_the_search_finds_them() -> None:
    assert uses_of_temporary_files("from tempfile import TemporaryDirectory")
    assert uses_of_temporary_files("import tempfile as t")
    assert uses_of_temporary_files("open('/tmp/x')")


def test_a_file_without_a_name_can_be_read_by_a_path_also_by_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with anonymous_file() as file:
        file.write(b"private")
        file.flush()
        path = path_of(file)
        assert path.read_bytes() == path.read_bytes() == b"private"
        if sys.platform == "linux":
            read = subprocess.run(["cat", str(path)], capture_output=True, check=True)
            assert read.stdout == b"private"
        assert not list(tmp_path.iterdir())
    assert not path.exists()


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from kuaimei.system.folders import swept_folder\n"
        "with swept_folder(Path(sys.argv[1]), 'worker') as folder:\n"
        "    (folder / 'voice.wav').write_bytes(b'private'); print(folder, flush=True); time.sleep(600)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    dead, alive = (Path(process.stdout.readline().strip()) for process in processes if process.stdout)
    processes[0].send_signal(signal.SIGKILL)
    processes[0].wait(30)
    assert (dead / "voice.wav").exists()
    with swept_folder(tmp_path, "worker") as own:
        assert is_private(own, os.geteuid())
        assert not dead.exists()
        assert (alive / "voice.wav").exists()
    assert not own.exists()
    for process in processes:
        process.kill()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def test_folders_go_when_the_process_leaves_in_a_hurry(tmp_path: Path) -> None:
    with private_folder() as first, swept_folder(tmp_path, "x") as second:
        remove_own_folders()
        assert not first.exists()
        assert not second.exists()


def test_the_run_time_folder_is_taken_only_if_it_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public, elsewhere = tmp_path / "private", tmp_path / "public", tmp_path / "elsewhere"
    private.mkdir(mode=0o700)
    public.mkdir()
    public.chmod(0o755)
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(private)
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    for runtime, parent in (
        (private, private),
        (public, elsewhere),
        (tmp_path / "link", elsewhere),
        (tmp_path / "nowhere", elsewhere),
    ):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        folder = make_private_folder()
        assert folder.parent == parent
        assert is_private(folder, os.geteuid())
