"""What a process holds of a mapped file and of freed memory, as the kernel counts it."""

import mmap
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kuaimei.system.memory import release_freed, release_mapped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SIZE = 8 << 20


def resident_kb(path: Path) -> int:
    """Of the mappings of ``path`` in this process."""
    smaps = Path("/proc/self/smaps").read_text(encoding="utf-8")
    found = re.findall(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss: +(\d+) kB", smaps)
    return sum(map(int, found))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return path


def test_pages_of_a_mapped_file_are_let_go_and_come_back(file: Path) -> None:
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    assert sum(mapped[::4096]) == 0
    assert resident_kb(file) == SIZE // 1024
    assert release_mapped([file]) == SIZE
    assert resident_kb(file) == 0
    assert mapped[:] == file.read_bytes()
    mapped.close()


def test_a_file_is_found_by_every_name(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.bin"
    link.symlink_to(file)
    mapped = np.memmap(link, np.uint8, "r")
    assert mapped.sum() > 0
    assert release_mapped([link]) == SIZE
    assert resident_kb(file) == 0
    assert release_mapped([tmp_path / "nothing.bin"]) == 0


def test_what_was_written_is_never_let_go(file: Path) -> None:
    mapped = np.memmap(file, np.uint8, "c")  # private: a page let go would be read from the file again
    mapped[:] = 7
    assert release_mapped([file]) == 0
    assert (mapped == 7).all()


def test_freed_memory_goes_back() -> None:
    pieces = [bytearray(64 << 10) for _ in range(1024)]  # too small to be mapped each by itself
    held = pieces[-1]
    before = _resident_kb()
    del pieces
    release_freed()
    assert before - _resident_kb() > 32 << 10
    assert len(held) == 64 << 10


_FREED_IN_BETWEEN = """
from pathlib import Path
from kuaimei.system.memory import map_large_blocks

def resident_kb():
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0])

map_large_blocks()
first = bytearray((16 << 20) * b"x")
del first  # from now on the allocator would not map what is smaller than this
blocks, small = [], []
for _ in range(16):
    block = bytearray(2 << 20)
    block[::4096] = bytes(512)  # touched: it is resident now
    blocks.append(block)
    small.append(bytearray(64 << 10))
del block
before = resident_kb()
del blocks
print(before - resident_kb())
"""


@pytest.mark.parametrize(
    ("environment", "returned"), [({}, True), ({"MALLOC_MMAP_THRESHOLD_": "33554432"}, False)]
)
def test_large_blocks_go_back_when_they_are_freed(environment: dict[str, str], *, returned: bool) -> None:
    """… in a process of its own, whose allocator is changed; that of the operator's choice is left alone."""
    ended = subprocess.run(
        [sys.executable, "-c", _FREED_IN_BETWEEN],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (int(ended.stdout) > 28 << 10) is returned


def _resident_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0])
