import asyncio
import os
from pathlib import Path

import pytest

from kuaimei.engines.types import Priority
from kuaimei.errors import EngineError
from kuaimei.server import voice_previews as room
from kuaimei.server.voice_previews import VoicePreviews, language_of
from kuaimei.store.voice_paths import sample_voice
from tests.support.fakes import FakeSynthesizer


@pytest.mark.parametrize(
    ("voice", "language"),
    [
        ("zf_001", "zh"),
        ("zm_yunxi", "zh"),
        ("af_maple", "en"),
        ("bm_george", "en"),
        ("jf_x", ""),
        ("alloy", ""),
    ],
)
def test_the_language_of_a_voice(voice: str, language: str) -> None:
    assert language_of(voice) == language


async def test_a_sample_is_made_once_and_behind_everybody(tmp_path: Path) -> None:
    synthesizer = FakeSynthesizer(delay_s=0.0)
    samples = VoicePreviews(synthesizer, "kokoro", tmp_path / "voices")
    first, second = await asyncio.gather(samples.sample("fake_one"), samples.sample("fake_one"))
    assert first == second
    assert first[:3] == b"ID3" or first[0] == 0xFF  # MP3
    (request,) = synthesizer.requests
    assert (request.voice_id, request.ticket.priority) == ("fake_one", Priority.BACKGROUND)
    again = VoicePreviews(synthesizer, "kokoro", tmp_path / "voices")
    assert await again.sample("fake_one") == first
    assert len(synthesizer.requests) == 1
    await VoicePreviews(synthesizer, "other", tmp_path / "voices").sample("fake_one")
    assert len(synthesizer.requests) == 2


def sampled(folder: Path) -> list[str]:
    return sorted(sample_voice(path.name) for path in folder.iterdir())


async def test_a_sample_is_called_by_its_voice_so_that_it_is_found(tmp_path: Path) -> None:
    samples = VoicePreviews(
        FakeSynthesizer(voices=("voice_01abc", "../évil"), delay_s=0.0), "kokoro", tmp_path
    )
    for voice in ("voice_01abc", "../évil"):
        await samples.sample(voice)
    assert sampled(tmp_path) == ["other", "voice_01abc"]
    samples.forget("voice_01abc")
    assert sampled(tmp_path) == ["other"]


def test_a_sample_that_cannot_be_forgotten_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is forgotten within what follows the voices of other processes, which has to go on."""

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    VoicePreviews(FakeSynthesizer(), "kokoro", tmp_path).forget("voice_a")
    assert "the old sample of voice_a cannot be deleted: Permission denied" in caplog.text


async def test_a_failure_is_told_and_tried_again(tmp_path: Path) -> None:
    synthesizer = FakeSynthesizer(delay_s=0.0, failure=EngineError("no voice"))
    samples = VoicePreviews(synthesizer, "kokoro", tmp_path)
    with pytest.raises(EngineError, match="no voice"):
        await samples.sample("fake_one")
    synthesizer.failure = None
    assert await samples.sample("fake_one")


async def _made(samples: VoicePreviews) -> None:
    await samples.sample("fake_one")


def test_old_samples_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MAX_CACHED", 2)
    samples = VoicePreviews(FakeSynthesizer(delay_s=0.0), "kokoro", tmp_path)
    for n in range(3):
        path = tmp_path / f"old{n}.mp3"
        path.write_bytes(b"old")
        os.utime(path, (n, n))
    asyncio.run(_made(samples))
    assert len(list(tmp_path.iterdir())) == 2
    assert (tmp_path / "old2.mp3").exists()


async def test_a_place_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    assert await VoicePreviews(FakeSynthesizer(delay_s=0.0), "kokoro", file / "voices").sample("fake_two")
