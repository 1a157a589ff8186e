"""Job specification for the training process: `kuaimei.training.job.Job` as JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.types import Language
from kuaimei.settings import VoiceSettings
from kuaimei.store.voices import STYLE
from kuaimei.system import durability
from kuaimei.voices.serialization import wav
from kuaimei.voices.training.asr_loss import write_asr_loss_spec
from kuaimei.voices.training.prompts import training_prompts
from kuaimei.voices.types import Step

__all__ = ["build_job_spec", "write_job_folder"]


def build_job_spec(
    step: Step,
    language: Language,
    said: str,
    tokens: Callable[[str], Sequence[int]],
    *,
    weights: Path,
    encoders: Mapping[str, Path],
    hears: Path,
    settings: VoiceSettings,
) -> dict[str, Any]:
    """Build the specification of one training step; computes for a moment.

    Args:
        step: Step to train.
        language: Language of the reference and of the prompts.
        said: Transcript of the reference; empty: unknown, which suffices for a style.
        tokens: Converts a text to Kokoro's token ids.
        weights: Kokoro's fp32 ONNX file.
        encoders: Files of the speaker encoders used as losses, by name.
        hears: Folder of the ASR model's weights; if it does not exist, there is no intelligibility loss.
        settings: Time budgets and number of threads.

    Raises:
        WeightsError: If the ASR model's weights are damaged.
    """
    practice = training_prompts(step, language)
    return {
        "step": step,
        "reference": "reference.wav",
        "reference_tokens": list(tokens(said)) if said else None,
        "lines": [list(tokens(line)) for line in practice],
        "style": STYLE,
        "weights": str(weights),
        "encoders": {name: str(path) for name, path in encoders.items()},
        "listener": write_asr_loss_spec(hears, practice, language),
        "threads": settings.threads,
        "seconds": settings.style_s if step == "style" else settings.decoder_s,
        "device": "auto",
    }


def write_job_folder(folder: Path, given: Mapping[str, Any], reference: Pcm, style: bytes) -> None:
    """Write a job specification into ``folder``, with all files that it names.

    Args:
        folder: Job folder, created if needed.
        given: Result of `build_job_spec`.
        reference: PCM at `kuaimei.voices.enrolment.speech_regions.RATE`.
        style: Initial style, as written by `kuaimei.voices.serialization.style_bytes`.
    """
    durability.write_file(folder / given["reference"], wav(reference))
    durability.write_file(folder / given["style"], style)
    durability.write_file(folder / "job.json", json.dumps(given).encode())  # last: marks the folder complete
