"""What the learning process is told to do: `kuaimei.training.job.Job`, as it is written down."""

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
    """One step of learning; computes for a moment.

    Args:
        step: What is learned.
        language: Of the reference, and of what is practised.
        said: In the reference; empty: unknown, which will do for a style.
        tokens: Kokoro's numbers of a text.
        weights: Kokoro's fp32 ONNX file.
        encoders: Files of the speaker encoders that are losses, by name.
        hears: Folder of the listener's weights; not there: nobody minds the words.
        settings: How long it may take, and of how many threads.

    Raises:
        WeightsError: If the listener's weights are damaged.
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
    """Write an order into ``folder``, with all that it names.

    Args:
        folder: Made if need be.
        given: Of `build_job_spec`.
        reference: At `kuaimei.voices.enrolment.speech_regions.RATE`.
        style: Where learning begins, as `kuaimei.voices.serialization.style_bytes` writes it.
    """
    durability.write_file(folder / given["reference"], wav(reference))
    durability.write_file(folder / given["style"], style)
    durability.write_file(folder / "job.json", json.dumps(given).encode())  # the last: then all is there
