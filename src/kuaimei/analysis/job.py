"""The durable job that finds out how an utterance was spoken, when nobody else needs the machine."""

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
"""A recording that could not be read so often is given up …"""
_BEGUN: Final = 6
"""… and one that was begun so often: the process may have died of it each time."""
_LONGEST_MS: Final = 600_000.0
"""Of a recording: a longer one takes hundreds of megabytes at a time, and has no one manner of speaking."""
_PREEMPT_POLL_S: Final = 1.0
"""After this long it is asked again whether what was said is recognised by now."""


class Assignments(Protocol):
    """What is to be analysed (`kuaimei.store.analyses.AnalysisRepository`, whose words apply)."""

    async def claim(self, utterance: str, basis: AnalysisVersion) -> AnalysisTask | None:
        """Take up the work; None: nothing is to be done."""
        ...

    async def save(self, assignment: AnalysisTask, findings: AnalysisResult) -> bool:
        """Keep what came of it; False: the utterance is gone."""
        ...

    async def release(self, assignment: AnalysisTask) -> None:
        """The attempt does not count."""
        ...

    async def has_pending_transcription(self) -> bool:
        """Something that was said waits to be recognised."""
        ...


class Recordings(Protocol):
    """Where the sound is (`kuaimei.store.reader.ConversationReader`, whose words apply)."""

    async def open_audio(self, utterance: str) -> Audio:
        """The recording as FLAC; `NotFound` if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Extractors:
    """What measures and what scores.

    Attributes:
        vad: Makes a detector of speech.
        meter: Measures the voice.
        head: The weights as they are now.
    """

    vad: Callable[[], VoiceActivityDetector]
    meter: VoiceQualityExtractor
    head: Callable[[], Head]

    @property
    def extractor(self) -> str:
        """Version of what measures."""
        return f"{self.meter.name}-{EXTRACTOR}"

    def basis(self) -> AnalysisVersion:
        """Versions of what analyses now.

        Raises:
            SettingsError: If the weights in use cannot be read.
        """
        return AnalysisVersion(self.extractor, self.head().version)


@dataclass(frozen=True, slots=True)
class Scored:
    """It is known how an utterance was spoken, or why nothing can be said of it.

    Attributes:
        turn: Of the session.
        understood: It is a turn whose words are known, not a cough or a piece of one.
    """

    session: str
    turn: int
    utterance: str
    speaker: Role
    understood: bool
    summary: Summary


@dataclass(slots=True)
class AnalysisCounts:
    """What happened since the process began.

    Attributes:
        outcomes: Utterances by what came of them: ``scored``, or the reason why not.
        retried: Attempts that failed and will be repeated.
        audio_s: Length of what was measured.
        computing_s: Time of one core that took.
        waited_s: Time spent waiting for quiet.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    audio_s: float = 0.0
    computing_s: float = 0.0
    waited_s: float = 0.0


class AnalysisJob:
    """Does the job for one utterance at a time: call it with its id.

    Args:
        assignments: What is to be analysed, and where it goes.
        recordings: Where the sound is.
        instruments: What measures and scores.
        cores: The lane of this machine's cores.
        calm: Says when nobody needs them.
        words_come: Somebody recognises what was said and not understood: that is waited for.
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
        await self._idle_monitor()
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
            raise  # begun again at the next start, unless it was deleted
        except Exception as error:
            findings = await self._failed(assignment, error)
        if await self._assignments.save(assignment, findings):
            self.counts.outcomes[findings.reason or "scored"] += 1
            self.announcements.publish(_scored(assignment, findings))

    def close(self) -> None:
        """Nothing is computed any more; what is being computed stops at its next step."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _analyse(self, assignment: AnalysisTask, head: Head) -> AnalysisResult:
        if assignment.attempts > _BEGUN:
            raise _Unrecoverable(f"it was begun {_BEGUN} times and never finished")
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
        """And the seconds of one core that took."""
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
            # Of a reply that was cut off nobody knows which of its words are in the recording.
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
                    raise AudioError("the recording is not what was put away")
                return await asyncio.get_running_loop().run_in_executor(
                    self._thread, flac.read, path_of(file)
                )
        except NotFound as error:
            raise AudioError(str(error)) from error

    async def _idle_monitor(self) -> None:
        """Until nobody needs the machine, and nothing that was said waits to be recognised."""
        started = time.monotonic()
        await self._calm.wait()
        while self._words_come and await self._assignments.has_pending_transcription():
            await asyncio.sleep(_PREEMPT_POLL_S)
            await self._calm.wait()
        self.counts.waited_s += time.monotonic() - started

    async def _failed(self, assignment: AnalysisTask, error: Exception) -> AnalysisResult:
        """What to say of it if it is given up; raises if it is to be tried again."""
        if isinstance(error, EngineError | StoreError | SettingsError | OSError | MemoryError):
            self.counts.retried += 1
            await self._assignments.release(assignment)  # whatever it was, it was not the recording
            raise error if isinstance(error, KuaimeiError) else StoreError(kind_of(error)) from error
        if not isinstance(error, KuaimeiError):
            _log.error("an analysis failed in a way it should not:\n%s", trace_of(error))
        if assignment.attempts < _ATTEMPTS:
            self.counts.retried += 1
            raise error if isinstance(error, KuaimeiError) else AudioError(kind_of(error)) from None
        _log.warning("the utterance %s cannot be analysed: %s", assignment.utterance, kind_of(error))
        return not_analysable("unreadable")


class _Unrecoverable(KuaimeiError):
    """There is no sense in trying again."""

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
