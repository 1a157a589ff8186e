"""What a worker was lent is gone with it, however it ends."""

from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.encode import encode
from kuaimei.workers.reference_store import ReferenceStore

RATE = 24_000


def lent(seed: int) -> bytes:
    return encode(np.random.default_rng(seed).integers(-3000, 3000, 2 * RATE).astype(np.int16), RATE, "wav")


async def test_a_reference_is_read_by_its_path_and_has_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links, temporary = tmp_path / "links", tmp_path / "temporary"
    links.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    references = ReferenceStore(links)
    first, second = await references.add(lent(1), "一"), await references.add(lent(2), "二")
    for name in (first, second, first):
        found = references.get(name)
        assert found is not None
        assert found.path.suffix == ".wav"
        assert len(soundfile.read(found.path)[0]) == 2 * RATE
    assert all(path.is_symlink() for path in links.iterdir())  # nothing is left of them but these
    assert not list(temporary.iterdir())
    kept = references.get(first)
    assert kept is not None
    assert references.drop(first)
    assert not kept.path.is_symlink()
    assert references.get(second) is not None
    del references
    assert not (links / f"{second}.wav").exists()  # where it led to is gone
