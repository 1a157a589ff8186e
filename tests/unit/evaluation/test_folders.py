"""References that are found, and results that are kept."""

from pathlib import Path

import numpy as np
import pytest

from kuaimei.errors import AudioError, SettingsError
from kuaimei.evaluation.references import find_references
from kuaimei.evaluation.training_cache import TrainingCache

PCM = np.arange(100, dtype=np.int16)
STYLE = np.linspace(-1, 1, 256).astype(np.float32)


def test_a_recording_for_each_speaker(tmp_path: Path) -> None:
    (tmp_path / "bea.WAV").touch()
    (tmp_path / "amy.mp3").touch()
    (tmp_path / "amy.txt").write_text("\ufeff你好，\n  世界。\n", encoding="utf-8")
    (tmp_path / "notes.md").touch()
    (tmp_path / "folder.wav").mkdir()
    found = find_references(tmp_path)
    assert [(one.name, one.path.name, one.transcript) for one in found] == [
        ("amy", "amy.mp3", "你好， 世界。"),
        ("bea", "bea.WAV", ""),
    ]


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no recordings"):
        find_references(tmp_path)
    (tmp_path / "amy.wav").touch()
    (tmp_path / "amy.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AudioError, match=r"amy\.txt is not text"):
        find_references(tmp_path)
    (tmp_path / "amy.flac").touch()
    with pytest.raises(AudioError, match="name amy"):
        find_references(tmp_path)


def test_what_was_learned_is_found_again(tmp_path: Path) -> None:
    kept = TrainingCache(tmp_path / "kept")
    key = kept.key("amy", PCM, "你好")
    assert kept.find(key, "style") is None
    kept.keep(key, "style", STYLE, None, language="zh", took_s=12.34)
    found = kept.find(key, "style")
    assert found is not None
    assert (found.style == STYLE).all()
    assert (found.decoder, found.language, found.took_s) == (None, "zh", 12.3)
    kept.keep(key, "decoder", STYLE, b"npz", language="en", took_s=1.0)
    other = kept.find(key, "decoder")
    assert other is not None
    assert other.decoder is not None
    assert other.decoder.read_bytes() == b"npz"
    assert other.language == "en"


def test_another_recording_or_text_has_its_own_results(tmp_path: Path) -> None:
    kept = TrainingCache(tmp_path)
    keys = {kept.key("amy", PCM, "a"), kept.key("amy", PCM, "b"), kept.key("amy", PCM + np.int16(1), "a")}
    assert len(keys) == 3
    assert all(key.startswith("amy-") for key in keys)


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("learned.json", b"{"),
        ("learned.json", b"{}"),
        ("style.npy", b"nothing"),
        ("decoder.npz", None),
    ],
)
def test_damage_is_told(tmp_path: Path, file: str, data: bytes | None) -> None:
    kept = TrainingCache(tmp_path)
    kept.keep("amy-1", "decoder", STYLE, b"npz", language="zh", took_s=1.0)
    path = tmp_path / "amy-1" / "decoder" / file
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    with pytest.raises(SettingsError, match=r"damaged .*: delete it"):
        kept.find("amy-1", "decoder")


def test_a_style_of_another_size_is_damage(tmp_path: Path) -> None:
    kept = TrainingCache(tmp_path)
    kept.keep("amy-1", "style", STYLE[:5], None, language="zh", took_s=1.0)
    with pytest.raises(SettingsError, match="damaged"):
        kept.find("amy-1", "style")
