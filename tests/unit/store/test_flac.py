import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.store.flac import encode, pieces


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
    cut = list(pieces(tmp_path / "a.flac", 10.0))
    assert 16_000 * 7 <= len(cut[0]) <= 16_000 * 8
    assert all(len(piece) <= 160_000 for piece in cut)
    np.testing.assert_array_equal(np.concatenate(cut), pcm)
