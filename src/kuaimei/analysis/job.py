"""The durable job that analyses the prosody of an utterance while the machine is idle."""

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from kuaimei.analysis.head import Head
from kuaimei.analysis.preemptible import (
    IdleSignal,
    PreemptibleExtractor,
    PreemptibleTask,
    PreemptibleVad,
    background_thread,
    timed,
)
from kuaimei.analysis.results import make_result, not_analysable, summary
from kuaimei.audio.pcm import Pcm
from kuaimei.engines.prosody import EXTRACTOR
from kuaimei.engines.prosody.extraction import measure
from kuaimei.engines.prosody.types import ExtractionResult, Features
from kuaimei.engines.protocols import VoiceActivityDetector, VoiceQualityExtractor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Priority, Ticket, as_language
from kuaimei.errors import AudioError, EngineError, KuaimeiError, NotFound, SettingsError, StoreError
from kuaimei.store import flac
from kuaimei.store.analyses import AnalysisResult, AnalysisTask
from kuaimei.store.broadcast import Broadcast
from kuaimei.store.due_analyses import AnalysisVersion
from kuaimei.store.rows import Audio, Summary
from kuaimei.store.utterance_record import Role
from kuaimei.system.failures import kind_of, trace_of
from kuaimei.system.files import anonymous_file, path_of

__all__ = ["AnalysisCounts", "AnalysisJob", "Assignments", "Extractors", "Recordings", "Scored"]

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 3
"""Attempts after which a recording that cannot be read is given up."""
_BEGUN: Final = 6
"""Starts after which a recording is given up: the process may have died of it each time."""
_LONGEST_MS: Final = 600_000.0
"""Longest recording: a longer one takes hundreds of megabytes, and has no single manner of speaking."""
_PREEMPT_POLL_S: Final = 1.0
"""Seconds between two checks for pending transcriptions."""


class Assignments(Protocol):
    """Store of the utterances to be analysed. See `kuaimei.store.analyses.AnalysisRepository`."""

    async def claim(self, utterance: str, basis: AnalysisVersion) -> AnalysisTask | None:
        """Claim the analysis of ``utterance``; None if there is nothing to do."""
        ...

    async def save(self, assignment: AnalysisTask, findings: AnalysisResult) -> bool:
        """Save the result; False if the utterance was deleted."""
        ...

    async def release(self, assignment: AnalysisTask) -> None:
        """Do not count the attempt."""
        ...

    async def has_pending_transcription(self) -> bool:
        """Return True if an utterance waits for transcription."""
        ...


class Recordings(Protocol):
    """Source of the recordings. See `kuaimei.store.reader.ConversationReader`."""

    async def open_audio(self, utterance: str) -> Audio:
        """Open the recording as FLAC; raise `NotFound` if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Extractors:
    """Feature extraction and scoring.

    Attributes:
        vad: Creates a voice activity detector.
        meter: Measures the voice quality.
        head: Returns the head in use.
    """

    vad: Callable[[], VoiceActivityDetector]
    meter: VoiceQualityExtractor
    head: Callable[[], Head]

    @property
    def extractor(self) -> str:
        """Version of the feature extraction."""
        return f"{self.meter.name}-{EXTRACTOR}"

    def basis(self) -> AnalysisVersion:
        """Return the versions of the extractor and the head in use.

        Raises:
            SettingsError: If the head in use cannot be read.
        """
        return AnalysisVersion(self.extractor, self.head().version)


@dataclass(frozen=True, slots=True)
class Scored:
    """Event: an utterance has been scored, or the reason why it cannot be is known.

    Attributes:
        turn: Number of the turn in its session.
        understood: The utterance is a turn whose transcript is known, not a cough or a part of one.
    """

    session: str
    turn: int
    utterance: str
    speaker: Role
    understood: bool
    summary: Summary


@dataclass(slots=True)
class AnalysisCounts:
    """Counters since the start of the process.

    Attributes:
        outcomes: Utterances by outcome: ``scored``, or the reason why there are no scores.
        retried: Attempts that failed and will be repeated.
        audio_s: Seconds of audio measured.
        computing_s: CPU seconds of one core spent on measuring.
        waited_s: Seconds spent waiting until the machine was idle.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    audio_s: float = 0.0
    computing_s: float = 0.0
    waited_s: float = 0.0


class AnalysisJob:
    """Analyses one utterance at a time: call it with the utterance's id.

    Args:
        assignments: Store of the utterances to be analysed and of the results.
        recordings: Source of the recordings.
        instruments: Feature extraction and scoring.
        cores: Scheduler of this machine's cores.
        calm: Tells when no conversation needs the cores.
        words_come: Pending transcriptions are made by a job of this server, so they are waited for.
    """

    def __init__(
        self,
        assignments: Assignments,
        recordings: Recordings,
        instruments: Extractors,
        cores: Scheduler,
        calm: IdleSignal,
        *,
        words_come: bool = True,
    ) -> None:
        self.counts = AnalysisCounts()
        self.announcements: Broadcast[Scored] = Broadcast()
        self.instruments = instruments
        self._assignments = assignments
        self._recordings = recordings
        self._cores = cores
        self._calm = calm
        self._words_come = words_come
        self._thread = background_thread("analysis")

    async def __call__(self, utterance: str) -> None:
        """Analyse the utterance.

        Raises:
            KuaimeiError: If it is to be tried again.
        """
        await self._wait_idle()
        head = await asyncio.to_thread(self.instruments.head)
        basis = AnalysisVersion(self.instruments.extractor, head.version)
        assignment = await self._assignments.claim(utterance, basis)
        if assignment is None:
            return
        try:
            findings = await self._analyse(assignment, head)
        except asyncio.CancelledError:
            with suppress(KuaimeiError):
                await self._assignments.release(assignment)
            raise  # done again after the next start, unless it was deleted
        except Exception as error:
            findings = await self._failed(assignment, error)
        if await self._assignments.save(assignment, findings):
            self.counts.outcomes[findings.reason or "scored"] += 1
            self.announcements.publish(_scored(assignment, findings))

    def close(self) -> None:
        """Stop the computation: no new one starts, and a running one ends at its next step."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _analyse(self, assignment: AnalysisTask, head: Head) -> AnalysisResult:
        if assignment.attempts > _BEGUN:
            raise _Unrecoverable(f"it was started {_BEGUN} times but never finished")
        if assignment.duration_ms is None:
            return not_analysable("no_audio")
        if assignment.duration_ms > _LONGEST_MS:
            return not_analysable("too_long")
        said = assignment.transcript
        if assignment.speaker == "user" and said is not None and not said.strip():
            return not_analysable("not_speech")
        if assignment.features is not None:
            return make_result(Features(**assignment.features), None, head)
        pcm, rate = await self._sound(assignment.utterance)
        measured, took_s = await self._measured(assignment, pcm, rate)
        self.counts.audio_s += len(pcm) / rate
        self.counts.computing_s += took_s
        return make_result(measured.features, measured.contours, head, took_s)

    async def _measured(
        self, assignment: AnalysisTask, pcm: Pcm, rate: int
    ) -> tuple[ExtractionResult, float]:
        """Measure the audio; return the result and the CPU seconds of one core it took."""
        steps: PreemptibleTask[tuple[ExtractionResult, float]] = PreemptibleTask(
            self._cores, self._calm, self._thread
        )
        instruments = self.instruments
        measuring = partial(
            measure,
            pcm,
            rate,
            vad=PreemptibleVad(instruments.vad(), steps.yield_point),
            meter=PreemptibleExtractor(instruments.meter, steps.yield_point),
            # It is unknown which words of an interrupted reply are in the recording.
            transcript=None if assignment.interrupted else assignment.transcript,
            language=as_language(assignment.language),
        )
        ticket = Ticket(session=assignment.session, priority=Priority.BACKGROUND)
        return await steps.run(ticket, partial(timed, measuring))

    async def _sound(self, utterance: str) -> tuple[Pcm, int]:
        try:
            audio = await self._recordings.open_audio(utterance)
            digest = hashlib.sha256()
            with anonymous_file() as file:
                async for chunk in audio.chunks:
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(file.flush)
                if digest.hexdigest() != audio.sha256:
                    raise AudioError("the recording does not match its checksum")
                return await asyncio.get_running_loop().run_in_executor(
                    self._thread, flac.read, path_of(file)
                )
        except NotFound as error:
            raise AudioError(str(error)) from error

    async def _wait_idle(self) -> None:
        """Wait until no conversation needs the machine and no transcription is pending."""
        started = time.monotonic()
        await self._calm.wait()
        while self._words_come and await self._assignments.has_pending_transcription():
            await asyncio.sleep(_PREEMPT_POLL_S)
            await self._calm.wait()
        self.counts.waited_s += time.monotonic() - started

    async def _failed(self, assignment: AnalysisTask, error: Exception) -> AnalysisResult:
        """Return the result for an utterance that is given up; raise if it is to be tried again."""
        if isinstance(error, EngineError | StoreError | SettingsError | OSError | MemoryError):
            self.counts.retried += 1
            await self._assignments.release(assignment)  # the recording is not the cause
            raise error if isinstance(error, KuaimeiError) else StoreError(kind_of(error)) from error
        if not isinstance(error, KuaimeiError):
            _log.error("unexpected error in an analysis:\n%s", trace_of(error))
        if assignment.attempts < _ATTEMPTS:
            self.counts.retried += 1
            raise error if isinstance(error, KuaimeiError) else AudioError(kind_of(error)) from None
        _log.warning("utterance %s cannot be analysed: %s", assignment.utterance, kind_of(error))
        return not_analysable("unreadable")


class _Unrecoverable(KuaimeiError):
    """The utterance is not worth another attempt."""

    kind = "given_up"


def _scored(assignment: AnalysisTask, findings: AnalysisResult) -> Scored:
    return Scored(
        session=assignment.session,
        turn=assignment.turn,
        utterance=assignment.utterance,
        speaker=assignment.speaker,
        understood=assignment.is_turn and assignment.transcript is not None,
        summary=summary(findings),
    )
