"""One utterance in progress, transcribed segment by segment at its pauses."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, EMPTY, Pcm
from kuaimei.dialogue.task_set import TaskSet
from kuaimei.dialogue.timeouts import timeout_excluding_queue
from kuaimei.engines.protocols import Recognizer
from kuaimei.engines.types import CommitFlag, Language, Priority, QueueTimer, STTChunk, STTReq, Ticket
from kuaimei.errors import EngineUnavailable
from kuaimei.settings import DialogueSettings
from kuaimei.text.join import join_pieces

__all__ = ["Transcript", "Utterance"]

_TURN_DETECTOR_SAMPLES = 8 * ASR_RATE
"""Maximum audio passed to a turn detector."""
_CUT_SEARCH_MS = 4000
"""A segment without a pause is cut at the quietest frame within this time before its end."""

_IN_PROGRESS_TIMEOUT_FACTOR = 4.0
"""Factor on the recognition timeout for segments of an utterance that is still in progress."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """Transcript of a whole utterance.

    Attributes:
        text: Text of all segments; empty if nothing was recognized.
        language: Most frequent language of the segments.
        recognition_s: Time the recognizer took for the latest segment, queueing included.
        speech_s: Length of that segment.
    """

    text: str
    language: Language | None
    recognition_s: float
    speech_s: float


@dataclass(slots=True)
class _SpeculativeSegment:
    """Speculative transcription of the open segment, as if the utterance were over.

    Attributes:
        frames: Number of the segment's frames it covers.
    """

    task: asyncio.Task[STTChunk]
    frames: int


class Utterance:
    """Audio and transcription of one utterance; keeps the audio of the open segment and the last 8 s.

    Args:
        recognizer: Transcribes each closed segment once, the last one possibly several times (speculation).
        settings: Dialogue settings.
        session: Id of the session, by which the recognizer's queue shares time fairly.
        tasks: Task set in which recognition runs.
        started_at: Loop time of the onset.
        piece_recognised: Called when a closed segment has been transcribed.

    Attributes:
        last_voiced_at: Loop time of the end of the last voiced frame.
        voiced_ms: Length of all voiced frames.
        length_ms: Length of all frames.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        settings: DialogueSettings,
        session: str,
        tasks: TaskSet,
        started_at: float,
        piece_recognised: Callable[[], None] = lambda: None,
    ) -> None:
        self._tasks = tasks
        self._segment_transcribed = piece_recognised
        self._recognizer = recognizer
        self._settings = settings
        self._session = session
        self._frames: list[Pcm] = []
        self._samples = 0
        self._voiced: list[bool] = []  # whether each frame of the open segment is voiced
        self._recent: deque[Pcm] = deque()
        self._recent_samples = 0
        self._segments: list[asyncio.Task[STTChunk]] = []
        self._tail: _SpeculativeSegment | None = None
        self._claim = CommitFlag()
        self._wait = QueueTimer()
        self._recognition_s = self._recognised_s = 0.0
        self.length_ms = 0.0
        self.started_at = started_at
        self.last_voiced_at = started_at
        self.voiced_ms = 0.0

    @property
    def segment_ms(self) -> float:
        """Milliseconds of the open segment."""
        return self._samples * 1000.0 / ASR_RATE

    @property
    def known_text(self) -> str | None:
        """Text of the closed segments; None until all of them are transcribed."""
        if not all(map(_succeeded, self._segments)):
            return None
        return join_pieces([piece.result().text for piece in self._segments])

    def append_audio(self, frame: Pcm, *, voiced: bool, at: float) -> None:
        """Append a frame.

        Args:
            frame: Samples at 16 kHz.
            voiced: True if the frame holds speech.
            at: Loop time of its end.
        """
        self._frames.append(frame)
        self._voiced.append(voiced)
        if voiced:
            self.last_voiced_at = at
            self.voiced_ms += len(frame) * 1000.0 / ASR_RATE
        self._samples += len(frame)
        self.length_ms += len(frame) * 1000.0 / ASR_RATE
        self._recent.append(frame)
        self._recent_samples += len(frame)
        while self._recent_samples - len(self._recent[0]) >= _TURN_DETECTOR_SAMPLES:
            self._recent_samples -= len(self._recent.popleft())
        if self._tail is None and self.segment_ms >= self._settings.piece_max_ms:
            self._cut_at_quietest()

    def recent(self) -> Pcm:
        """Return at most about the last 8 s of audio, for a turn detector."""
        return np.concatenate(self._recent) if self._recent else EMPTY

    def speculate(self) -> None:
        """Start transcribing the open segment as if the utterance ended here."""
        if self._tail is None and (any(self._voiced) or not self._segments):
            self._tail = _SpeculativeSegment(self._transcribe(self._frames, Priority.LIVE), len(self._frames))

    def resume(self) -> bool:
        """Continue after a pause: close the segment if it is long enough, else cancel its transcription.

        A failed transcription is discarded, too: it is retried together with the speech that follows.

        Returns:
            True if a segment was closed.
        """
        tail, self._tail = self._tail, None
        self._claim = CommitFlag()  # the user does not wait for further segments yet
        if tail is None:
            return False
        length_ms = sum(map(len, self._frames[: tail.frames])) * 1000.0 / ASR_RATE
        if length_ms < self._settings.piece_min_ms or _failed(tail.task):
            tail.task.cancel()
            return False
        self._close(tail.task, tail.frames)
        return True

    def split(self) -> None:
        """Close the segment here, at a short pause, and start transcribing it."""
        if self._tail is None and any(self._voiced):
            self._close_at(len(self._frames))

    async def transcript(self) -> Transcript:
        """Return the transcript of all segments; starts with transcribing the open one if necessary.

        Raises:
            EngineError: If recognition failed.
        """
        self.speculate()
        self._claim.certain = True
        tasks = [*self._segments, *([self._tail.task] if self._tail else [])]
        try:
            async with timeout_excluding_queue(self._settings.recognition_timeout_s, self._wait):
                chunks = [await asyncio.shield(task) for task in tasks]
        except TimeoutError:
            self.abandon()
            raise _too_slow(self._settings.recognition_timeout_s) from None
        languages = Counter(c.language for c in chunks if c.text and c.language)
        return Transcript(
            text=join_pieces([c.text for c in chunks]),
            language=languages.most_common(1)[0][0] if languages else None,
            recognition_s=self._recognition_s,
            speech_s=self._recognised_s,
        )

    def abandon(self) -> None:
        """Stop all recognition of this utterance."""
        for task in (*self._segments, *([self._tail.task] if self._tail else [])):
            task.cancel()

    def _cut_at_quietest(self) -> None:
        search_ms = min(_CUT_SEARCH_MS, self.segment_ms / 2)
        first = len(self._frames)
        span = 0.0
        while span < search_ms:
            first -= 1
            span += len(self._frames[first]) * 1000.0 / ASR_RATE
        energies = [float(np.mean(np.square(f, dtype=np.float32))) for f in self._frames[first:]]
        self._close_at(first + int(np.argmin(energies)) + 1)

    def _close_at(self, cut: int) -> None:
        """Close a segment of ``cut`` frames and transcribe it at low priority; silence is dropped."""
        if any(self._voiced[:cut]):
            self._close(self._transcribe(self._frames[:cut], Priority.SPECULATIVE), cut)
        else:
            self._forget(cut)

    def _close(self, task: asyncio.Task[STTChunk], frames: int) -> None:
        self._segments.append(task)
        task.add_done_callback(self._on_segment_done)
        self._forget(frames)

    def _on_segment_done(self, task: asyncio.Task[STTChunk]) -> None:
        if _succeeded(task):
            self._segment_transcribed()

    def _forget(self, frames: int) -> None:
        del self._frames[:frames], self._voiced[:frames]
        self._samples = sum(map(len, self._frames))

    def _transcribe(self, frames: list[Pcm], priority: Priority) -> asyncio.Task[STTChunk]:
        pcm = np.concatenate(frames) if frames else EMPTY
        language = self._settings.language
        patience_s = self._settings.recognition_timeout_s
        if priority is not Priority.LIVE:
            patience_s *= _IN_PROGRESS_TIMEOUT_FACTOR
        deadline = asyncio.get_running_loop().time() + self._settings.queue_timeout_s
        req = STTReq(
            language=None if language == "auto" else language,
            hotwords=self._settings.hotwords,
            ticket=Ticket(
                session=self._session,
                priority=priority,
                deadline=deadline,
                claim=self._claim,
                wait=self._wait,
            ),
        )
        return self._tasks.start(self._within(patience_s, pcm, req))

    async def _within(self, patience_s: float, pcm: Pcm, req: STTReq) -> STTChunk:
        started_at = asyncio.get_running_loop().time()
        try:
            async with timeout_excluding_queue(patience_s, self._wait):
                chunk = await self._recognizer.transcribe(pcm, req)
        except TimeoutError:
            raise _too_slow(patience_s) from None
        self._recognition_s = asyncio.get_running_loop().time() - started_at
        self._recognised_s = len(pcm) / ASR_RATE
        return chunk


def _too_slow(patience_s: float) -> EngineUnavailable:
    return EngineUnavailable(f"recognition did not finish within {patience_s:g} s")


def _failed(task: asyncio.Task[STTChunk]) -> bool:
    return task.done() and not _succeeded(task)


def _succeeded(task: asyncio.Task[STTChunk]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
