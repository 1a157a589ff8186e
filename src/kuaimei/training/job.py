"""Input of a training process: a folder with ``job.json`` and the files it names.

Read with the standard library alone: the training environment contains only what training needs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from kuaimei.errors import SettingsError

__all__ = ["DECODER_FILE", "STYLE_FILE", "Job", "Step", "read_job"]

Step = Literal["style", "decoder"]

STYLE_FILE: Final = "style.out.npy"
"""File of the trained style, shape ``(256,)`` float32."""
DECODER_FILE: Final = "decoder.npz"
"""File of the decoder's difference to the stock weights (`kuaimei.models.weight_delta`)."""
_LONGEST: Final = 508


@dataclass(frozen=True, slots=True)
class AsrLossSpec:
    """Input of the intelligibility loss.

    Attributes:
        weights: Whisper's ``model.bin``.
        before: Whisper tokens that open every transcript.
        lines: Whisper tokens of each prompt, including the end token.
    """

    weights: Path
    before: tuple[int, ...]
    lines: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One training step of one voice.

    Attributes:
        folder: Folder of its files and checkpoints.
        step: What to train: the style, or the decoder on top of a trained style.
        reference: Mono recording of the voice.
        reference_tokens: Its transcript as Kokoro's tokens; None if unknown: then no decoder can be trained.
        lines: Training prompts, as Kokoro's tokens.
        style: ``.npy`` of shape ``(256,)``: the initial style.
        weights: Kokoro's fp32 ONNX file.
        encoders: Weights of the speaker encoders by name.
        listener: Intelligibility loss of the prompts; None: not used.
        threads: Number of threads to compute with.
        seconds: Budget of computing time (not of waiting).
        iterations: Maximum number of iterations; None: as many as bring a gain.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    folder: Path
    step: Step
    reference: Path
    reference_tokens: tuple[int, ...] | None
    lines: tuple[tuple[int, ...], ...]
    style: Path
    weights: Path
    encoders: Mapping[str, Path]
    listener: AsrLossSpec | None
    threads: int
    seconds: float
    iterations: int | None
    device: str


def read_job(folder: Path) -> Job:
    """Read the job in ``folder``; file names in it are relative to the folder.

    Raises:
        SettingsError: If it is not a job.
    """
    try:
        given = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        job = _parse(folder, given)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{folder.name}/job.json is not a training job ({error!r})") from error
    listener = () if job.listener is None else (job.listener.weights,)
    for path in (job.reference, job.style, job.weights, *job.encoders.values(), *listener):
        if not path.exists():
            raise SettingsError(f"{path.name}, which the job requires, is missing")
    return job


def _parse(folder: Path, given: Mapping[str, Any]) -> Job:
    step: Step = given["step"]
    if step not in get_args(Step):
        raise ValueError(f"unknown step {step!r}")
    device = given.get("device", "auto")
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"unknown device {device!r}")
    said = given.get("reference_tokens")
    if step == "decoder" and not said:
        raise ValueError("the decoder cannot be trained without the transcript of the reference")
    lines = tuple(_tokens(line) for line in given["lines"])
    if not lines:
        raise ValueError("there are no training sentences")
    encoders = {str(name): folder / path for name, path in given["encoders"].items()}
    if not encoders:
        raise ValueError("there is no speaker encoder")
    threads, seconds = int(given.get("threads", 1)), float(given["seconds"])
    iterations = None if given.get("iterations") is None else int(given["iterations"])
    if threads < 1 or not seconds > 0 or (iterations is not None and iterations < 1):
        raise ValueError("threads, seconds and iterations must be positive")
    return Job(
        folder=folder,
        step=step,
        reference=folder / given["reference"],
        reference_tokens=_tokens(said) if said else None,
        lines=lines,
        style=folder / given["style"],
        weights=folder / given["weights"],
        encoders=encoders,
        listener=_listener(folder, given.get("listener"), len(lines)),
        threads=threads,
        seconds=seconds,
        iterations=iterations,
        device=device,
    )


def _listener(folder: Path, given: Any, lines: int) -> AsrLossSpec | None:
    if given is None:
        return None
    facts = AsrLossSpec(
        folder / given["weights"], _tokens(given["before"]), tuple(_tokens(line) for line in given["lines"])
    )
    if len(facts.lines) != lines:
        raise ValueError("the listener must have the tokens of every line")
    return facts


def _tokens(given: Any) -> tuple[int, ...]:
    tokens = tuple(int(token) for token in given)
    if not 0 < len(tokens) <= _LONGEST:
        raise ValueError(f"an utterance must have 1 to {_LONGEST} tokens, not {len(tokens)}")
    return tokens
