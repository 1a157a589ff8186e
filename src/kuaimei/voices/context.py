"""What enrolling and learning a voice use of the server."""

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
"""Of all that is computed for voices: behind everyone who is talking."""

Speak: TypeAlias = Callable[[str, Sequence[str]], Awaitable[Sequence[tuple[Pcm, int]]]]
"""Says texts in a voice (its id) as the beautiful tier does; of each the samples and their rate."""


class VoiceStore(Protocol):
    """Of `kuaimei.store.Store`, whose words apply."""

    voices: VoiceRepository
    maintenance: Maintenance

    async def defer(self, name: str, subject: str, *, priority: int = 0) -> None:
        """Have a job done."""
        ...

    async def cancel_job(self, name: str, subject: str) -> None:
        """Forget it, ending it where it is being done."""
        ...

    async def delete_voice(self, voice: str) -> bool:
        """Delete it and everything derived from it; False: that goes on."""
        ...

    async def deletion(self, kind: DeletionKind, subject: str) -> Deletion | None:
        """The deletion of that id that goes on."""
        ...


@dataclass(frozen=True, slots=True)
class VoiceContext:
    """See the module.

    Attributes:
        environment: In which voices are learned.
        synthesizer: Speaks in the voices; learns them if it is a `StyleVoiceBank`.
        weights: Kokoro's fp32 ONNX file, which learning starts from; None: there is none.
        speak_hq: The beautiful tier, to judge its decoder by; None: what the learning process says counts.
        changed: Told the id of a voice that sounds different from now on.
        withdrawn: Told the id of a voice in which somebody may not speak any more.
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
        """The synthesiser, if it can learn voices."""
        return self.synthesizer if isinstance(self.synthesizer, StyleVoiceBank) else None

    def training_encoders(self) -> dict[str, Path]:
        """Weights of the encoders that learning goes through, by name; those that are installed."""
        files = {name: self.settings.weights_dir / name / "model.onnx" for name in TRAINING_ENCODERS}
        return {name: path for name, path in files.items() if path.is_file()}

    @property
    def listener(self) -> Path:
        """Folder of the recogniser that learning goes through; without it learning minds no words."""
        return self.settings.weights_dir / ASR_LOSS_MODEL

    def unavailable_reason(self) -> str:
        """Why nothing can be learned here, and what to do, in one sentence; empty if it can.

        An environment for learning that is still to be made is none: it comes by itself.
        """
        return self.lack() or self.environment.hindrance

    def lack(self) -> str:
        """What is missing to learn voices besides the environment for it; empty if nothing is."""
        if self.bank is None:
            return "the speech engine in use cannot learn voices: set KUAIMEI_TTS=kokoro"
        if self.weights is None or not self.weights.is_file():
            return "the network that learning starts from is missing; run: kuaimei models pull kokoro"
        if missing := [name for name in TRAINING_ENCODERS if name not in self.training_encoders()]:
            return f"speaker encoders are missing; run: kuaimei models pull {' '.join(missing)}"
        return ""

    def eval_encoder(self) -> SpeakerEncoder | None:
        """The encoder that is in no loss; see `speaker_encoder`."""
        return speaker_encoder(self.settings, EVAL_ENCODER)

    async def embed(self, pcm: Pcm, rate: int) -> list[tuple[SpeakerEncoder, NDArray[np.float32]]]:
        """Who speaks in ``pcm`` to the encoders of `TRAINING_ENCODERS` that are installed, in that order."""
        found = [await asyncio.to_thread(speaker_encoder, self.settings, name) for name in TRAINING_ENCODERS]
        return [
            (one, await run_on_cores(self.cores, BACKGROUND_TICKET, 1, one.embed, pcm, rate))
            for one in found
            if one is not None
        ]

    def job_folder(self, voice: str) -> Path:
        """Where learning the voice keeps what it needs and its checkpoints."""
        return learning_folder(self.settings.home, voice)

    def withdraw(self, voice: str) -> None:
        """Somebody may not speak in the voice any more: it is gone, or not shared any longer."""
        for told in self.withdrawn:
            told(voice)

    def notify_changed(self, voice: str) -> None:
        """The voice sounds different from now on."""
        for told in self.changed:
            told(voice)


async def delete_job_folder(folder: Path) -> None:
    """Delete what learning a voice needed; not there is fine.

    Raises:
        StoreError: If a part of it is still there.
    """
    try:
        await to_the_end(durability.remove_tree, folder)
    except OSError as error:
        raise StoreError(f"what learning needed cannot be deleted ({folder}): {error.strerror}") from error


def speaker_encoder(settings: Settings, name: str = "ge2e") -> SpeakerEncoder | None:
    """A speaker encoder, loaded; None: not installed. Blocks for a moment; let go of it after use."""
    folder = settings.weights_dir / name
    return open_encoder(folder) if (folder / "model.onnx").is_file() else None
