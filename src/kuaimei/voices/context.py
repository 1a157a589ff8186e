"""Dependencies shared by voice enrolment and training."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.protocols import StyleVoiceBank, Synthesizer
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.speaker import EVAL_ENCODER, TRAINING_ENCODERS, SpeakerEncoder, open_encoder
from kuaimei.engines.types import Priority, Ticket
from kuaimei.errors import StoreError
from kuaimei.settings import Settings
from kuaimei.store.deletions import Deletion, DeletionKind
from kuaimei.store.maintenance import Maintenance
from kuaimei.store.voice_paths import learning_folder
from kuaimei.store.voices import VoiceRepository
from kuaimei.system import durability
from kuaimei.system.threads import to_the_end
from kuaimei.voices.enrolment.pipeline import ReferenceExaminer
from kuaimei.voices.training.asr_loss import ASR_LOSS_MODEL
from kuaimei.voices.training.environment.background_install import LearningEnvironment

__all__ = ["BACKGROUND_TICKET", "Speak", "VoiceContext", "VoiceStore", "delete_job_folder", "speaker_encoder"]

BACKGROUND_TICKET: Final = Ticket(session="voices", priority=Priority.BACKGROUND)
"""Ticket of all computation for voices: lower priority than every conversation."""

Speak: TypeAlias = Callable[[str, Sequence[str]], Awaitable[Sequence[tuple[Pcm, int]]]]
"""Synthesizes texts in a voice (its id) on the high-quality (HQ) tier; returns samples and rate per text."""


class VoiceStore(Protocol):
    """The part of `kuaimei.store.Store` that voices need; see there."""

    voices: VoiceRepository
    maintenance: Maintenance

    async def defer(self, name: str, subject: str, *, priority: int = 0) -> None:
        """Enqueue a durable job."""
        ...

    async def cancel_job(self, name: str, subject: str) -> None:
        """Remove the job from the queue and cancel it where it is running."""
        ...

    async def delete_voice(self, voice: str) -> bool:
        """Delete the voice and everything derived from it; False: the deletion is still in progress."""
        ...

    async def deletion(self, kind: DeletionKind, subject: str) -> Deletion | None:
        """Return the pending deletion of that subject, if any."""
        ...


@dataclass(frozen=True, slots=True)
class VoiceContext:
    """Dependencies shared by enrolment and training.

    Attributes:
        environment: The Python environment that training runs in.
        synthesizer: Speaks in the voices; can use trained styles if it is a `StyleVoiceBank`.
        weights: Kokoro's fp32 ONNX file, the starting point of training; None: not available.
        speak_hq: The HQ tier, used to evaluate a trained decoder; None: the similarity reported by the
            training process is used.
        changed: Called with the id of a voice whose sound has changed.
        withdrawn: Called with the id of a voice that some users may no longer use.
    """

    settings: Settings
    store: VoiceStore
    examiner: ReferenceExaminer
    synthesizer: Synthesizer
    idle_monitor: IdleMonitor
    cores: Scheduler
    environment: LearningEnvironment
    weights: Path | None = None
    speak_hq: Speak | None = None
    changed: list[Callable[[str], None]] = field(default_factory=list)
    withdrawn: list[Callable[[str], None]] = field(default_factory=list)

    @property
    def bank(self) -> StyleVoiceBank | None:
        """The synthesizer, if it supports trained voices; else None."""
        return self.synthesizer if isinstance(self.synthesizer, StyleVoiceBank) else None

    def training_encoders(self) -> dict[str, Path]:
        """Return the weights of the installed encoders used as training losses, by name."""
        files = {name: self.settings.weights_dir / name / "model.onnx" for name in TRAINING_ENCODERS}
        return {name: path for name, path in files.items() if path.is_file()}

    @property
    def listener(self) -> Path:
        """Folder of the ASR model used as a training loss; without it, training ignores intelligibility."""
        return self.settings.weights_dir / ASR_LOSS_MODEL

    def unavailable_reason(self) -> str:
        """Return why training is unavailable and what to do, in one sentence; empty if it is available.

        A training environment that is not installed yet is no reason: it is installed automatically.
        """
        return self.lack() or self.environment.hindrance

    def lack(self) -> str:
        """Return what training lacks apart from its environment; empty if nothing is missing."""
        if self.bank is None:
            return "the current synthesizer does not support training: set KUAIMEI_TTS=kokoro"
        if self.weights is None or not self.weights.is_file():
            return "the network that training starts from is missing; run: kuaimei models pull kokoro"
        if missing := [name for name in TRAINING_ENCODERS if name not in self.training_encoders()]:
            return f"speaker encoders are missing; run: kuaimei models pull {' '.join(missing)}"
        return ""

    def eval_encoder(self) -> SpeakerEncoder | None:
        """Return the encoder that is used in no loss; see `speaker_encoder`."""
        return speaker_encoder(self.settings, EVAL_ENCODER)

    async def embed(self, pcm: Pcm, rate: int) -> list[tuple[SpeakerEncoder, NDArray[np.float32]]]:
        """Embed ``pcm`` with each installed encoder of `TRAINING_ENCODERS`, in that order."""
        found = [await asyncio.to_thread(speaker_encoder, self.settings, name) for name in TRAINING_ENCODERS]
        return [
            (one, await run_on_cores(self.cores, BACKGROUND_TICKET, 1, one.embed, pcm, rate))
            for one in found
            if one is not None
        ]

    def job_folder(self, voice: str) -> Path:
        """Return the folder that holds the training inputs and checkpoints of the voice."""
        return learning_folder(self.settings.home, voice)

    def withdraw(self, voice: str) -> None:
        """Notify subscribers that some users may no longer use the voice: it was deleted or unshared."""
        for told in self.withdrawn:
            told(voice)

    def notify_changed(self, voice: str) -> None:
        """Notify subscribers that the voice sounds different from now on."""
        for told in self.changed:
            told(voice)


async def delete_job_folder(folder: Path) -> None:
    """Delete the training folder of a voice; a missing folder is not an error.

    Raises:
        StoreError: If a part of it could not be deleted.
    """
    try:
        await to_the_end(durability.remove_tree, folder)
    except OSError as error:
        raise StoreError(f"the training files cannot be deleted ({folder}): {error.strerror}") from error


def speaker_encoder(settings: Settings, name: str = "ge2e") -> SpeakerEncoder | None:
    """Load a speaker encoder; None if it is not installed. Blocks briefly; drop the reference after use."""
    folder = settings.weights_dir / name
    return open_encoder(folder) if (folder / "model.onnx").is_file() else None
