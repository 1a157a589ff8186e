"""Conversation using the microphone and loudspeaker of this machine."""

import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm, from_bytes
from kuaimei.cli import console
from kuaimei.dialogue.events import (
    Event,
    FinalTranscript,
    ReplyAudio,
    ReplyInterrupted,
    ReplyPaused,
    ReplyText,
    TurnFailed,
    TurnMetrics,
)
from kuaimei.errors import AudioError
from kuaimei.runtime import open_runtime
from kuaimei.settings import Settings
from kuaimei.store.ids import new_id

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["converse"]

_BLOCK = ASR_RATE * 20 // 1000


class _Loudspeaker:
    """Playback queue of the audio device; `silence` empties it at once."""

    def __init__(self) -> None:
        self._pieces: deque[Pcm] = deque()

    def play(self, pcm: Pcm) -> None:
        self._pieces.append(pcm)

    def silence(self) -> None:
        self._pieces.clear()

    def fill(self, outdata: Any, frames: int, time: object, status: object) -> None:
        """Fill a block of the audio device (callback); silence where nothing is queued."""
        block = np.zeros(frames, dtype=np.int16)
        filled = 0
        while filled < frames and self._pieces:
            piece = self._pieces.popleft()
            taken = piece[: frames - filled]
            block[filled : filled + len(taken)] = taken
            filled += len(taken)
            if len(taken) < len(piece):
                self._pieces.appendleft(piece[len(taken) :])
        outdata[:] = block.reshape(-1, 1)


def _sounddevice() -> "ModuleType":
    try:
        import sounddevice  # type: ignore[import-not-found]
    except (ImportError, OSError) as error:
        raise AudioError(
            "the microphone needs PortAudio: install the extra `kuaimei[mic]` (on Debian also "
            f"`apt install libportaudio2`), or give recordings as arguments ({error})"
        ) from None
    module: ModuleType = sounddevice
    return module


async def converse(settings: Settings, *, keep: bool) -> None:
    """Hold a conversation until Ctrl+C; headphones keep replies out of the microphone.

    Raises:
        AudioError: If there is no microphone or loudspeaker, or no PortAudio.
    """
    sounddevice = _sounddevice()
    loop = asyncio.get_running_loop()
    speaker = _Loudspeaker()

    def watch(event: Event) -> None:
        match event:
            case ReplyAudio(pcm=pcm):
                speaker.play(pcm)
            case ReplyPaused() | ReplyInterrupted():
                speaker.silence()
            case FinalTranscript(text=text):
                console.note(f"你 {text}")
            case ReplyText(text=text):
                print(text, end="", flush=True, file=sys.stderr)
            case TurnFailed(message=message):
                console.note(f"\n{message}")
            case TurnMetrics(timing=timing):
                first = timing.first_audio_ms
                console.note("" if first is None else f"  ({first:.0f} ms)")
            case _:
                pass

    async with (
        open_runtime(settings, keep=keep, progress=lambda name: console.note(f"ready: {name}")) as runtime,
        runtime.open_conversation(new_id("sess"), [watch]) as conversation,
    ):

        def heard(indata: Any, frames: int, time: object, status: object) -> None:
            loop.call_soon_threadsafe(conversation.push_audio, from_bytes(bytes(indata)).copy())

        rate = runtime.engines.synthesizer.sample_rate
        try:
            microphone = sounddevice.RawInputStream(
                samplerate=ASR_RATE, blocksize=_BLOCK, channels=1, dtype="int16", callback=heard
            )
            loudspeaker = sounddevice.OutputStream(
                samplerate=rate, channels=1, dtype="int16", callback=speaker.fill
            )
        except sounddevice.PortAudioError as error:
            raise AudioError(f"no microphone or loudspeaker could be opened: {error}") from None
        with microphone, loudspeaker:
            console.note("說吧。Speak. (Ctrl+C to stop.)")
            await asyncio.Event().wait()
