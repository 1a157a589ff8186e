"""The checks on speech of the real synthesiser, listened to by the real VAD; a voice from end to end."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import ASR_RATE, Pcm, from_float, to_float
from kuaimei.audio.resample import resample
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.vad import open_vad
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings
from kuaimei.voices.context import speaker_encoder
from kuaimei.voices.enrolment.checks import check_all
from kuaimei.voices.enrolment.speech_regions import RATE, SpeechRegions, find_speech
from kuaimei.voices.types import Check
from tests.support.signals import chords, echoing, hiss

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]

TEXT = "我想先喝一杯熱茶，再慢慢走回家，路上順便買一點水果。"
MORE = "今天下午的會議改到三點，麻煩你通知一下其他同事。"


def at_home(*parts: Pcm) -> Pcm:
    """With pauses around, and the hiss of a quiet room."""
    pause = np.zeros(ASR_RATE // 2, np.int16)
    pieces = [piece for part in parts for piece in (pause, part)]
    pcm = resample(np.concatenate([*pieces, pause]), ASR_RATE, RATE)
    return from_float(to_float(pcm) + 3e-4 * np.random.default_rng(5).standard_normal(len(pcm)))


@pytest.fixture
def real() -> Settings:
    return Settings()


@pytest.fixture
async def heard(real: Settings) -> Callable[[Pcm], SpeechRegions]:
    async with open_vad(
        EngineContext(real, Scheduler("cores", 1)), EngineSource("vad", "silero", "silero")
    ) as vad:
        detector = vad()
    return lambda pcm: find_speech(pcm, detector)


def verdicts(checks: tuple[Check, ...]) -> dict[str, str]:
    return {check.check: check.verdict for check in checks if check.verdict != "ok"}


async def test_what_is_wrong_with_a_recording_is_what_was_done_to_it(
    spoken: Callable[..., Pcm], heard: Callable[[Pcm], SpeechRegions]
) -> None:
    pcm = at_home(spoken(TEXT), spoken(MORE))
    good = to_float(pcm).astype(np.float64)
    assert verdicts(check_all(heard(pcm))) == {}

    def found(signal: np.ndarray) -> dict[str, str]:
        return verdicts(check_all(heard(from_float(signal))))

    assert found(np.clip(4 * good / np.abs(good).max(), -1, 1))["clipping"] == "refused"
    assert found(hiss(good, 4))["noise"] == "refused"
    assert found(echoing(good, 1.8))["reverberation"] == "refused"
    assert found(chords(good, 0.05))["music"] == "refused"
    assert found(good * 0.004)["loudness"] == "refused"


async def test_two_speakers_are_told_from_one(
    real: Settings, spoken: Callable[..., Pcm], heard: Callable[[Pcm], SpeechRegions]
) -> None:
    encoder = speaker_encoder(real)
    if encoder is None:
        pytest.skip("the speaker encoder ge2e is not installed; run: kuaimei models pull ge2e")

    def check(*voices: str) -> Check:
        parts = [spoken(text, voice) for text, voice in zip((TEXT, MORE), voices, strict=True)]
        return check_all(heard(at_home(*parts)), encoder)[-1]

    assert check("zf_xiaoyi", "zf_xiaoyi").verdict == "ok"
    assert check("zf_xiaoyi", "zm_yunjian").verdict in ("warning", "refused")  # who are alike to GE2E


@pytest.fixture
def home(real: Settings) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kuaimei-home-") as name:
        (Path(name) / "models").symlink_to(real.weights_dir)
        yield Path(name)


def test_from_a_file_to_a_voice_by_the_command_line(
    home: Path, spoken: Callable[..., Pcm], tmp_path: Path, database_dir: Path
) -> None:
    file = tmp_path / "媽媽.mp3"
    file.write_bytes(encode(at_home(spoken(TEXT), spoken(MORE)), RATE, "mp3"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KUAIMEI_")}
    environment = {
        **kept,
        "KUAIMEI_HOME": str(home),
        "KUAIMEI_STORE__DATABASE_DIR": str(database_dir),
        "KUAIMEI_VOICES__LEARN": "none",
    }

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "kuaimei", "voices", *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    (voice,) = json.loads(run("add", str(file), "--name", "媽媽", "--consent", "--json"))
    assert (voice["state"], voice["language"], voice["label"]) == ("ready", "zh", "similar")
    assert "熱茶" in voice["transcript"]
    assert voice["pitch"]["mean_hz"] > 150
    assert voice["consent"]["speaker"] == "媽媽"
    run("delete", "媽媽", "--yes")
    assert not [path for path in (home / "recordings").rglob("*") if path.is_file()]
