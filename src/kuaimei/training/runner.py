"""Runs a training job from its input to the result files."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from kuaimei.errors import AudioError, SettingsError, WeightsError
from kuaimei.models.weight_delta import save_difference
from kuaimei.training.asr_loss import AsrLoss, load_whisper_scorer
from kuaimei.training.checkpoint import replace_file
from kuaimei.training.decoder import DecoderTrainer
from kuaimei.training.encoders import load_campplus, load_ge2e
from kuaimei.training.job import DECODER_FILE, STYLE_FILE, Job
from kuaimei.training.kokoro import FRAME, RATE, TorchKokoro, freeze, load_kokoro
from kuaimei.training.losses import SimilarityCriterion, TargetSpeech
from kuaimei.training.progress_events import ProgressReporter
from kuaimei.training.style import STYLE, StyleTrainer, stock_spread
from kuaimei.training.targets import align_target
from kuaimei.training.train_loop import train

__all__ = ["read_reference", "run_job"]

_ENCODERS: Final[Mapping[str, Callable[[Any], Any]]] = {"ge2e": load_ge2e, "campplus": load_campplus}
_SHORTEST_S, _LONGEST_S = 1.0, 60.0
_BAND: Final = 0.46
"""Share of the sample rate above which a resampler's filter has removed the signal."""
_HIGHEST_HZ: Final = 11_000.0


def run_job(job: Job, reports: ProgressReporter, stopping: Callable[[], bool]) -> None:
    """Train and report; the results lie in the job folder before ``done`` is reported.

    Args:
        job: The job.
        reports: Receives progress and outcome.
        stopping: Asked before every iteration; True: save a checkpoint and return.

    Raises:
        KuaimeiError: Of some kind, if the job cannot be done.
    """
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    device = _device(job.device)
    reference = read_reference(job)
    start = _read_style(job)
    kokoro, initialisers = load_kokoro(job.weights, device)
    likenesses = SimilarityCriterion(reference, _load_encoders(job, device), device)
    learner = _learner(job, kokoro, likenesses, reference, start)
    if job.iterations is not None:
        learner.iterations = min(learner.iterations, job.iterations)
    similarity = train(
        learner,
        job.folder / f"{job.step}.checkpoint",
        reports,
        fingerprint=_fingerprint(job),
        seconds=job.seconds,
        threads=job.threads,
        stopping=stopping,
    )
    if similarity is None:
        reports.stopped()
        return
    style = learner.style
    replace_file(job.folder / STYLE_FILE, lambda file: np.save(file, style))
    decoder = None
    if isinstance(learner, DecoderTrainer):
        difference = learner.difference(initialisers)
        replace_file(job.folder / DECODER_FILE, lambda file: save_difference(file, difference))
        decoder = DECODER_FILE
    reports.done(STYLE_FILE, decoder, similarity)


def read_reference(job: Job) -> TargetSpeech:
    """Read the recording, resampled to 24 kHz.

    Raises:
        AudioError: If it cannot be read, or is too short or too long.
    """
    try:
        samples, rate = soundfile.read(job.reference, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise AudioError(f"the reference cannot be read ({error})") from error
    if not _SHORTEST_S <= len(samples) / rate <= _LONGEST_S:
        raise AudioError(
            f"the reference is {len(samples) / rate:.1f} s long; it must be between "
            f"{_SHORTEST_S:.0f} and {_LONGEST_S:.0f} s long"
        )
    resampled = soxr.resample(samples.mean(1), rate, RATE).astype(np.float32)
    if not np.isfinite(resampled).all() or float(np.abs(resampled).max()) < 1e-4:
        raise AudioError("the reference is silent")
    return TargetSpeech(resampled, min(_BAND * rate, _HIGHEST_HZ))


def _learner(
    job: Job,
    kokoro: TorchKokoro,
    likenesses: SimilarityCriterion,
    reference: TargetSpeech,
    start: NDArray[np.float32],
) -> StyleTrainer | DecoderTrainer:
    lines = [kokoro.encode_text(tokens) for tokens in job.lines]
    listening = _listening(job, kokoro.device)
    if job.step == "style":
        said = None
        if job.reference_tokens is not None:
            said = kokoro.encode_text(job.reference_tokens), len(reference.samples) // FRAME
        spread = stock_spread(job.weights.parent / "voices")
        return StyleTrainer(kokoro, likenesses, lines, said, start, spread, listening=listening)
    if job.reference_tokens is None:
        raise SettingsError("the decoder cannot be trained without the transcript of the reference")
    teacher = align_target(kokoro, reference, job.reference_tokens, start)
    return DecoderTrainer(
        kokoro, likenesses, teacher, lines, start, reference.bandwidth_hz, listening=listening
    )


def _load_encoders(job: Job, device: torch.device) -> dict[str, Any]:
    encoders: dict[str, Any] = {}
    for name, path in job.encoders.items():
        if name not in _ENCODERS:
            raise SettingsError(f"unknown encoder {name!r}; available: {', '.join(_ENCODERS)}")
        encoders[name] = freeze(_ENCODERS[name](path).to(device))
    return encoders


def _listening(job: Job, device: torch.device) -> AsrLoss | None:
    if job.listener is None:
        return None
    return AsrLoss(load_whisper_scorer(job.listener.weights, device), job.listener.before, job.listener.lines)


def _read_style(job: Job) -> NDArray[np.float32]:
    try:
        style = np.asarray(np.load(job.style, allow_pickle=False), np.float32).reshape(-1)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{job.style.name} is not a style ({error})") from error
    if style.shape != (STYLE,) or not np.isfinite(style).all():
        raise WeightsError(f"{job.style.name} is not a style of {STYLE} numbers")
    return style


def _device(wanted: str) -> torch.device:
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise SettingsError("no CUDA device is available; use the device 'auto'")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def _fingerprint(job: Job) -> str:
    """Return a hash of the training data: a checkpoint made from other data is not resumed."""
    digest = hashlib.sha256(repr((job.step, job.reference_tokens, job.lines)).encode())
    digest.update(job.reference.read_bytes())
    return digest.hexdigest()
