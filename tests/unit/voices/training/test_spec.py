"""What is written down for the learning process is what it reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.settings import VoiceSettings
from kuaimei.training.job import read_job
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.serialization import style_bytes
from kuaimei.voices.training.prompts import training_prompts
from kuaimei.voices.training.spec import build_job_spec, write_job_folder
from kuaimei.voices.types import Step

SETTINGS = VoiceSettings(threads=3, style_s=11.0, decoder_s=22.0)


def tokens(text: str) -> list[int]:
    return [ord(char) % 178 for char in text]


def written(folder: Path, step: Step, said: str) -> dict[str, Any]:
    for name in ("kokoro.onnx", "ge2e.onnx"):
        (folder / name).touch()
    return build_job_spec(
        step,
        "zh",
        said,
        tokens,
        weights=folder / "kokoro.onnx",
        encoders={"ge2e": folder / "ge2e.onnx"},
        hears=folder / "not there",
        settings=SETTINGS,
    )


@pytest.mark.parametrize(("step", "seconds"), [("style", 11.0), ("decoder", 22.0)])
def test_the_process_reads_what_was_ordered(tmp_path: Path, step: Step, seconds: float) -> None:
    pcm = np.arange(RATE, dtype=np.int16)
    style = np.linspace(-1.0, 1.0, 256, dtype=np.float32)
    write_job_folder(tmp_path / "job", written(tmp_path, step, "今天很好"), pcm, style_bytes(style))
    job = read_job(tmp_path / "job")
    assert (job.step, job.seconds, job.threads, job.listener) == (step, seconds, 3, None)
    assert job.reference_tokens == tuple(tokens("今天很好"))
    assert job.lines == tuple(tuple(tokens(line)) for line in training_prompts(step, "zh"))
    assert np.array_equal(np.load(job.style), style)
    heard, rate = soundfile.read(job.reference, dtype="int16")
    assert rate == RATE
    assert np.array_equal(heard, pcm)


def test_a_style_is_learned_without_knowing_what_is_said(tmp_path: Path) -> None:
    write_job_folder(tmp_path / "job", written(tmp_path, "style", ""), np.zeros(RATE, np.int16), b"")
    assert read_job(tmp_path / "job").reference_tokens is None
