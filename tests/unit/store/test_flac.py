import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.store.flac import encode, read_in_chunks, write


def _noise(samples: int) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    return np.random.default_rng(1).integers(-9000, 9000, samples).astype(np.int16)


@pytest.mark.parametrize("samples", [1, 65_536, 65_537, 200_001])
def test_not_a_sample_is_lost(tmp_path: Path, samples: int) -> None:
    pcm = _noise(samples)
    (tmp_path / "a.pcm").write_bytes(pcm.tobytes() + b"\x00")  # half a sample, as a kill may leave it
    flac = encode(tmp_path / "a.pcm", 24_000, tmp_path / "a.flac")
    assert flac is not None
    data, rate = soundfile.read(flac.path, dtype="int16")
    assert rate == 24_000
    np.testing.assert_array_equal(data, pcm)
    assert flac.duration_ms == samples / 24
    assert flac.sha256 == hashlib.sha256(flac.path.read_bytes()).hexdigest()
    assert flac.size == flac.path.stat().st_size


def test_nothing_is_no_recording(tmp_path: Path) -> None:
    assert encode(tmp_path / "none.pcm", 16_000, tmp_path / "none.flac") is None
    (tmp_path / "empty.pcm").write_bytes(b"\x00")
    assert encode(tmp_path / "empty.pcm", 16_000, tmp_path / "empty.flac") is None


def test_pieces_are_cut_in_the_pause_and_join_to_the_whole(tmp_path: Path) -> None:
    pcm = _noise(16_000 * 25)
    pcm[16_000 * 7 : 16_000 * 8] = 0
    (tmp_path / "a.pcm").write_bytes(pcm.tobytes())
    assert encode(tmp_path / "a.pcm", 16_000, tmp_path / "a.flac") is not None
    cut = list(read_in_chunks(tmp_path / "a.flac", 10.0))
    assert 16_000 * 7 <= len(cut[0]) <= 16_000 * 8
    assert all(len(piece) <= 160_000 for piece in cut)
    np.testing.assert_array_equal(np.concatenate(cut), pcm)


_FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from kuaimei.store import flac
folder, way, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
pcm = np.random.default_rng(1).integers(-9000, 9000, 200_000).astype(np.int16)
(folder / "a.pcm").write_bytes(pcm.tobytes())
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    made = flac.encode(folder / "a.pcm", 16_000, folder / "a.flac") if way == "encode" else flac.write(
        pcm, 16_000, folder / "a.flac")
except OSError as error:
    print("OSError", error)
else:
    print("made", made)
"""


@pytest.mark.parametrize("way", ["encode", "write"])
@pytest.mark.parametrize("limit", [1, 8_192, 360_000, 366_000, 366_488])
def test_a_full_disk_is_an_error_and_never_a_recording(tmp_path: Path, way: str, limit: int) -> None:
    """The library answers a short write with an assertion, or with nothing at all."""
    command = [sys.executable, "-c", _FULL, str(tmp_path), way, str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    size = (tmp_path / "a.flac").stat().st_size
    assert done.stdout.startswith("OSError a.flac"), (done.stdout, done.stderr, size)


def test_the_whole_file_is_not_taken_for_a_short_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FULL, str(tmp_path), "encode", str(10_000_000)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith("made Flac"), done.stderr


def test_what_reads_back_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that changes what it is given; the double does, for no disk here does so when it is asked."""

    class Liar(soundfile.SoundFile):  # type: ignore[misc]
        def write(self, data: "np.ndarray[tuple[int], np.dtype[np.int16]]") -> None:
            changed = data.copy()
            changed[len(changed) // 2] += 1
            super().write(changed)

    monkeypatch.setattr("kuaimei.store.flac.soundfile.SoundFile", Liar)
    with pytest.raises(OSError, match="or different ones"):
        write(_noise(1000), 16_000, tmp_path / "a.flac")
