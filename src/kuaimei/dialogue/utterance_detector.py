"""Utterance detection: audio in; onset, captions, pauses and the end of the turn out."""

import asyncio
import logging
from collections import deque
from typing import Literal, Protocol

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, EMPTY, Pcm
from kuaimei.dialogue.captions import Captions
from kuaimei.dialogue.endpointing import Endpointer
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.task_set import TaskSet
from kuaimei.dialogue.utterance import Utterance
from kuaimei.engines.protocols import TurnDetector
from kuaimei.errors import QueueFull
from kuaimei.settings import DialogueSettings
from kuaimei.system.failures import trace_of

__all__ = ["EndReason", "UtteranceCallbacks", "UtteranceDetector"]

_log = logging.getLogger(__name__)

EndReason = Literal["silence", "complete", "incomplete", "committed", "limit", "closed"]

_COMPLETE = 0.5
"""Completeness from which the turn detector shortens the end-of-turn silence; below, it lengthens it."""
_TURN_CHECK_MS = 96
"""Silence after which the turn detector runs, so that it has finished before recognition starts."""
_ONSET_MS = 96
"""Voiced sound that begins an utterance while no reply is playing."""
_RESUME_MS = 64
"""Voiced sound that continues an utterance after a pause; less is a click."""
_MUTED_PEAK = 16
"""Peak of the audio of a muted microphone, including the rounding errors of Opus."""
_SPLIT = ((14_000.0, 64.0), (7_000.0, 120.0))
"""(length, pause) in ms: a segment this long is closed at a pause this short, so that little audio is left
to transcribe at the end."""


class UtteranceCallbacks(Protocol):
    """Callbacks of `UtteranceDetector`; all are called on the event loop and must return at once."""

    def speech_started(self, utterance: Utterance, audio_ms: float) -> None:
        """Handle the onset of an utterance at ``audio_ms`` of all audio received."""

    def speech_audio(self, pcm: Pcm) -> None:
        """Handle audio of the utterance, which comes without gaps, pre-roll first."""

    def segment_transcribed(self, utterance: Utterance) -> None:
        """Handle the transcript of a closed segment; the utterance may still be in progress."""

    def speech_continues(self, voiced_ms: float) -> None:
        """Handle another voiced frame; ``voiced_ms`` is the voiced time of the utterance."""

    def speech_paused(self, utterance: Utterance) -> None:
        """Handle a pause that may be the end of the turn."""

    def answer_ready(self, utterance: Utterance) -> bool:
        """Return True if the turn could be answered at once, so that it may end."""
        ...

    def speech_resumed(self, utterance: Utterance) -> None:
        """Handle speech that resumed before the end-of-turn silence elapsed."""

    def speech_ended(self, utterance: Utterance, audio_ms: float, reason: EndReason) -> None:
        """Handle the end of the utterance at ``audio_ms`` of all audio received."""

    def speech_discarded(self, utterance: Utterance) -> None:
        """Handle a sound shorter than ``min_speech_ms``, which is discarded."""

    def caption_updated(self, text: str) -> None:
        """Handle the partial caption of the utterance so far."""


class UtteranceDetector:
    """Detector of the utterances in one audio stream.

    Args:
        engines: Engines for voice activity, captions, turn detection and recognition.
        settings: Initial settings.
        session: Id of the session, by which the recognizer's queue shares time fairly.
        tasks: Task set for captions, turn detection and recognition.
        delegate: Receives the results.

    Attributes:
        endpointing: True if silence ends an utterance. False: only `commit` does, and all audio belongs to
            it, except that the silence of a muted microphone does not begin one.
        over_reply: True while a reply is playing: an utterance then needs ``barge_in_ms`` of voiced sound to
            begin, and a short sound is discarded after ``false_alarm_silence_ms``.
    """

    def __init__(
        self,
        engines: Engines,
        settings: DialogueSettings,
        session: str,
        tasks: TaskSet,
        delegate: UtteranceCallbacks,
    ) -> None:
        self._tasks = tasks
        self._settings = self._next = settings
        self._session = session
        self._delegate = delegate
        self._recognizer = engines.recognizer
        self._turn_detector = engines.turn_detector
        self._vad = engines.vad()
        self._frame_samples = self._vad.frame_samples
        frame_ms = self._frame_samples * 1000.0 / ASR_RATE
        self._endpointer = Endpointer(frame_ms, settings.speech_threshold)
        self._captions = Captions(engines.captioner, settings, tasks, delegate.caption_updated)
        self._rest: Pcm = EMPTY
        self._preroll: deque[tuple[Pcm, bool]] = deque(maxlen=self._preroll_frames())
        self._received = 0
        self._utterance: Utterance | None = None
        self._end_silence_ms = float(settings.end_silence_ms)
        self._end_reason: EndReason = "silence"
        self._turn_check: asyncio.Task[None] | None = None
        self._paused = False
        self.endpointing = True
        self.over_reply = False

    @property
    def settings(self) -> DialogueSettings:
        """Dialogue settings; a change takes effect with the next utterance."""
        return self._next

    @settings.setter
    def settings(self, value: DialogueSettings) -> None:
        self._next = value
        if self._utterance is None:
            self._apply_settings()

    @property
    def audio_ms(self) -> float:
        """Milliseconds of all audio received."""
        return self._received * 1000.0 / ASR_RATE

    @property
    def caption(self) -> str:
        """Latest partial caption of the utterance."""
        return self._captions.text

    @property
    def in_speech(self) -> bool:
        """True during an utterance."""
        return self._utterance is not None

    def push(self, pcm: Pcm) -> None:
        """Process audio (16 kHz, any length); it is not copied, so the caller must not change it later."""
        now = asyncio.get_running_loop().time()
        samples = np.concatenate((self._rest, pcm)) if len(self._rest) else pcm
        size = self._frame_samples
        whole = len(samples) - len(samples) % size
        for start in range(0, whole, size):
            # A frame's own time, not its packet's: latencies count from the last voiced frame.
            at = now - (len(samples) - start - size) / ASR_RATE
            self._received += size
            self._process_frame(samples[start : start + size], at)
        self._rest = samples[whole:].copy()

    def commit(self) -> bool:
        """End the utterance now; return False if there is none."""
        if self._utterance is None:
            return False
        if len(self._rest):
            self._utterance.append_audio(self._rest, voiced=False, at=asyncio.get_running_loop().time())
            self._delegate.speech_audio(self._rest)
            self._received += len(self._rest)
            self._rest = EMPTY
        self._end(self._utterance, "committed")
        return True

    def drop(self) -> None:
        """Discard the utterance: it is not a turn."""
        utterance = self._reset()
        if utterance is not None:
            utterance.abandon()

    def clear(self) -> None:
        """Discard the utterance and all audio not yet processed."""
        self.drop()
        self._received += len(self._rest)
        self._rest = EMPTY
        self._preroll.clear()
        self._vad.reset()

    async def close(self) -> None:
        """End the current utterance and close the captions."""
        if self._utterance is not None:
            self._end(self._utterance, "closed")
        await self._captions.close()

    def _process_frame(self, frame: Pcm, at: float) -> None:
        voiced = self._endpointer.push(self._vad.probability(frame))
        utterance = self._utterance
        if utterance is None:
            self._preroll.append((frame, voiced))
            onset_ms = self._settings.barge_in_ms if self.over_reply else _ONSET_MS
            if self._endpointer.onset_ms >= onset_ms or (not self.endpointing and _is_audible(frame)):
                self._begin(at)
            return
        utterance.append_audio(frame, voiced=voiced, at=at)
        self._delegate.speech_audio(frame)
        self._captions.hear(frame)
        if utterance.length_ms >= self._settings.max_utterance_s * 1000.0:
            self._end(utterance, "limit")
        elif voiced:
            self._on_voiced_frame(utterance)
        else:
            self._on_silent_frame(utterance)

    def _begin(self, at: float) -> None:
        self._endpointer.begin()
        utterance = Utterance(
            self._recognizer,
            self._settings,
            self._session,
            self._tasks,
            at,
            lambda: self._delegate.segment_transcribed(utterance),
        )
        self._utterance = utterance
        self._end_silence_ms = float(self._settings.end_silence_ms)
        self._end_reason = "silence"
        lead_ms = len(self._preroll) * self._endpointer.frame_ms
        self._delegate.speech_started(utterance, max(0.0, self.audio_ms - lead_ms))
        self._captions.begin()
        for frame, voiced in self._preroll:
            utterance.append_audio(frame, voiced=voiced, at=at)
            self._delegate.speech_audio(frame)
            self._captions.hear(frame)
        self._preroll.clear()

    def _on_voiced_frame(self, utterance: Utterance) -> None:
        if self._paused and self._endpointer.run_ms >= _RESUME_MS:
            self._resume_utterance(utterance)
        if not self._paused:
            self._end_silence_ms = float(self._settings.end_silence_ms)
            self._end_reason = "silence"
        self._delegate.speech_continues(self._endpointer.voiced_ms)

    def _resume_utterance(self, utterance: Utterance) -> None:
        self._paused = False
        closed = utterance.resume()
        self._captions.resume(utterance.known_text if closed else None)
        self._delegate.speech_resumed(utterance)

    def _on_silent_frame(self, utterance: Utterance) -> None:
        silence = self._endpointer.silence_ms
        if not self._paused and any(
            utterance.segment_ms - silence >= length and silence >= pause for length, pause in _SPLIT
        ):
            utterance.split()
        if not self.endpointing:
            if self._paused:  # endpointing was switched off during the pause, which is not an end any more
                self._resume_utterance(utterance)
            return
        before = silence - self._endpointer.frame_ms
        if before < _TURN_CHECK_MS <= silence:
            self._check_turn(utterance)
        short = self._endpointer.voiced_ms < self._settings.min_speech_ms
        if not self._paused and silence >= self._settings.speculate_silence_ms and not short:
            self._paused = True
            self._captions.pause()
            utterance.speculate()
            self._delegate.speech_paused(utterance)
        if short:
            patience = self._settings.false_alarm_silence_ms if self.over_reply else self._end_silence_ms
            if silence >= patience:
                self._reset()
                self._delegate.speech_discarded(utterance)
        elif silence >= self._end_silence_ms and (
            # Until the reply is ready, waiting longer costs no time and lets the speaker resume.
            silence >= self._settings.unready_silence_ms or self._delegate.answer_ready(utterance)
        ):
            self._end(utterance, self._end_reason)

    def _end(self, utterance: Utterance, reason: EndReason) -> None:
        self._reset()
        self._delegate.speech_ended(utterance, self.audio_ms, reason)

    def _reset(self) -> Utterance | None:
        utterance, self._utterance = self._utterance, None
        self._paused = False
        self._endpointer.end()
        self._captions.end()
        if self._turn_check is not None:
            self._turn_check.cancel()
            self._turn_check = None
        self._apply_settings()
        return utterance

    def _apply_settings(self) -> None:
        """Apply changed settings, between two utterances only."""
        if self._settings is not self._next:
            self._settings = self._next
            self._endpointer.threshold = self._settings.speech_threshold
            self._preroll = deque(self._preroll, maxlen=self._preroll_frames())
            self._captions.settings = self._settings

    def _preroll_frames(self) -> int:
        return max(1, round(self._settings.preroll_ms / self._endpointer.frame_ms))

    def _check_turn(self, utterance: Utterance) -> None:
        if self._turn_detector is not None:
            if self._turn_check is not None:
                self._turn_check.cancel()
            self._turn_check = self._tasks.start(self._run_turn_detector(self._turn_detector, utterance))

    async def _run_turn_detector(self, turn_detector: TurnDetector, utterance: Utterance) -> None:
        try:
            completeness = await turn_detector.completeness(utterance.recent())
        except QueueFull:
            return  # no core was free in time: only the silence counts
        except Exception as error:
            _log.warning("turn detection failed; falling back to silence only:\n%s", trace_of(error))
            return
        if self._utterance is not utterance or not self._endpointer.silence_ms:
            return
        settings = self._settings
        if completeness >= _COMPLETE:
            self._end_silence_ms, self._end_reason = float(settings.end_silence_complete_ms), "complete"
        else:
            self._end_silence_ms, self._end_reason = float(settings.end_silence_incomplete_ms), "incomplete"


def _is_audible(frame: Pcm) -> bool:
    return int(frame.max()) > _MUTED_PEAK or int(frame.min()) < -_MUTED_PEAK
