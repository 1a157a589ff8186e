"""One turn: transcription, reply, speech. May start speculatively; events are buffered until `commit`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.error_phrases import apology
from kuaimei.dialogue.events import (
    Event,
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    ReplyText,
    Stage,
    TurnFailed,
    TurnMetrics,
)
from kuaimei.dialogue.history import ChatHistory, HistoryEntry
from kuaimei.dialogue.latency import TurnLatency
from kuaimei.dialogue.reply_generator import ReplyGenerator
from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.dialogue.speech_output import SpeechOutput
from kuaimei.dialogue.task_set import TaskSet
from kuaimei.dialogue.utterance import Transcript, Utterance
from kuaimei.engines.types import CommitFlag, Language, LLMReq, Message, Priority, QueueTimer, Ticket, TTSReq
from kuaimei.errors import EngineError, KuaimeiError
from kuaimei.settings import DialogueSettings
from kuaimei.system.failures import kind_of, trace_of
from kuaimei.text.clauses import speech_length
from kuaimei.text.wellformed import to_well_formed

__all__ = ["ReplyOptions", "Turn"]

_log = logging.getLogger(__name__)

_MESSAGE_LIMIT = 500
"""Maximum characters of an error message in an event."""


class Turn:
    """One turn, from the end of the user's speech to the last audio of the reply.

    Args:
        number: Number of the turn.
        engines: Engines for the reply.
        settings: Dialogue settings.
        reply_options: How to reply.
        history: Chat history that the reply answers and the turn extends.
        session: Id of the session, by which the queues share time fairly.
        tasks: Task set in which the turn runs.
        emit: Called with every event, from `commit` on.
        utterance: The user's speech; None for a typed turn or a requested reply.
        said: The user's text if it was typed; None without ``utterance``: reply to the history as it is.
        t0: Loop time of the user's last voiced frame; updated by `commit`.
        after: Tasks of turns that must be over before this one is answered.
        approve: Awaited with the transcript (None: recognition failed) before it is used; returns False
            if it is not a turn.

    Attributes:
        user_text: What the user said, once known.
        answering: True while the reply is being prepared or spoken.
    """

    def __init__(
        self,
        number: int,
        engines: Engines,
        settings: DialogueSettings,
        reply_options: ReplyOptions,
        history: ChatHistory,
        session: str,
        tasks: TaskSet,
        emit: Callable[[Event], None],
        *,
        utterance: Utterance | None = None,
        said: str | None = None,
        t0: float,
        after: Sequence[asyncio.Task[None]] = (),
        approve: Callable[[Transcript | None], Awaitable[bool]] | None = None,
    ) -> None:
        self.number = number
        self.reply = f"reply_{number}"
        self.utterance = utterance
        self.user_text = said
        self.answering = False
        self._settings = settings
        self._reply_options = reply_options
        self._wants_reply = reply_options.reply or utterance is None
        self._history = history
        self._session = session
        self._emit_outside = emit
        self._after = after
        self._approve = approve
        self._buffered: list[Event] = []
        self._committed = asyncio.Event()
        self._claim = CommitFlag()
        self._wait = QueueTimer()
        self._user_entry: HistoryEntry | None = None
        self._reply_entry: HistoryEntry | None = None
        self._reply_started = False
        self._finished = False
        self._timed = False
        self._language: Language | None = None
        self._latency = TurnLatency(self._now, t0)
        self._transcript: Transcript | None = None
        self._shown = ""
        self._answer_shown = ""
        self._synthesizer = engines.synthesizer
        self.speech_output = self._new_speech_output()
        self._reply_generator = ReplyGenerator(engines.language_model, settings, self._ticket, self._on_text)
        self.task = tasks.start(self._run())

    @property
    def is_committed(self) -> bool:
        """True once `commit` was called."""
        return self._committed.is_set()

    @property
    def wants_reply(self) -> bool:
        """True if the turn is to be answered."""
        return self._wants_reply

    @property
    def has_audio(self) -> bool:
        """True if the reply is spoken, not text only."""
        return self._reply_options.speak

    @property
    def understood(self) -> bool:
        """True once the user's text is known and accepted as a turn."""
        return self.user_text is not None

    @property
    def ready(self) -> bool:
        """True once the beginning of the reply is available, or the transcript if no reply is wanted."""
        if self.task.done():
            return True
        if not self._wants_reply:
            return self.understood
        return self.speech_output.audio_ms > 0 if self._reply_options.speak else bool(self._shown)

    @property
    def replying(self) -> bool:
        """True once a part of the reply has left the server."""
        return self._reply_started and self.is_committed

    @property
    def heard_text(self) -> str:
        """Text of the reply that reached the user: what was played, or shown if it is not spoken."""
        return self.speech_output.heard_text if self._reply_options.speak else self._answer_shown

    def commit(self, t0: float) -> None:
        """Commit the turn and emit its buffered events; ``t0`` is the time of the last voiced frame."""
        self._latency.t0 = t0
        if self.utterance is not None:
            self._latency.mark("endpoint")
        self._committed.set()
        self._claim.certain = True
        if self.utterance is not None or self.user_text:
            self._user_entry = self._history.add("user", self.user_text or "", label=f"user_{self.number}")
        self._reply_entry = self._history.add("assistant", label=self.reply)
        events, self._buffered = self._buffered, []
        for event in events:
            self._emit_outside(event)
        self.speech_output.release()

    def ask(self, reply_options: ReplyOptions) -> bool:
        """Request a reply to this turn after all; return False if it is too late or there is no text."""
        if self.task.done() or self._wants_reply or self.user_text == "":
            return False
        self._reply_options = reply_options
        self._wants_reply = True
        if self.speech_output.is_stopped:  # its reply was cancelled before
            self.speech_output = self._new_speech_output()
            self.speech_output.release()
        return True

    def interrupt(self, reason: Literal["barge_in", "cancelled", "closed"]) -> None:
        """End the reply; a turn that is still being transcribed goes on without one."""
        self.speech_output.stop()
        self.keep()
        if self._wants_reply:
            self._emit(
                ReplyInterrupted(
                    self.number, self._now(), self.reply, self.speech_output.heard_ms, self.heard_text, reason
                )
            )
        self._wants_reply = False
        if self.answering:
            self._time()
            self.cancel()

    def cancel(self) -> None:
        """Stop every stage at once; nothing more is emitted."""
        self._emit_outside = _discard_event
        self.task.cancel()

    def keep(self) -> None:
        """Store the part of the reply that was heard in the history."""
        if self._reply_entry is not None:
            whole = self._finished and self.speech_output.heard_ms >= self.speech_output.audio_ms - 1.0
            self._reply_entry.content = self._answer_shown if whole else self.heard_text

    def _new_speech_output(self) -> SpeechOutput:
        return SpeechOutput(self._synthesizer, self._settings, self._emit, self.number, self.reply)

    async def _run(self) -> None:
        try:
            if await self._transcribe():
                await self._wait_for_predecessors()
                if not self._wants_reply:
                    await self._committed.wait()  # a reply may still be requested until then
                if self._wants_reply:
                    self.answering = True
                    await self._answer()
            elif not self.understood and not self.is_committed:
                return  # not a turn
        except Exception as error:  # a failing turn must not end the conversation
            await self._fail("thinking", _describe_error(error))
        await self._committed.wait()
        self._time()
        await self.speech_output.played_out()
        self.speech_output.stop()
        self.keep()

    async def _wait_for_predecessors(self) -> None:
        for earlier in self._after:
            await asyncio.wait([earlier])

    async def _transcribe(self) -> bool:
        """Transcribe the utterance; return False if there is nothing to answer."""
        if self.utterance is None:
            return True
        error: KuaimeiError | None = None
        transcript: Transcript | None = None
        try:
            transcript = await self.utterance.transcript()
        except Exception as failure:
            error = _describe_error(failure)
        if self._approve is not None and not await self._approve(transcript):
            return False
        self._latency.mark("transcript")
        self._transcript = transcript
        self.user_text = transcript.text if transcript else ""
        if not transcript or not transcript.text:
            self.answering = self._wants_reply
            await self._fail("recognition" if error else "listening", error)
            return False
        self._language = transcript.language
        self._emit(FinalTranscript(self.number, self._now(), transcript.text, transcript.language))
        if self._user_entry is not None:
            self._user_entry.content = transcript.text
        return True

    async def _answer(self) -> None:
        said = "" if self._user_entry is not None else self.user_text or ""
        prompt = self._reply_options.instructions or self._settings.system_prompt
        messages = self._history.request(prompt, self._settings.history_tokens, said)
        req = LLMReq(
            messages=_in_english(messages) if self._language == "en" else messages,
            max_tokens=self._settings.max_reply_tokens,
        )
        empty = True
        try:
            async with aclosing(self._reply_generator.clauses(req)) as clauses:
                async for clause in clauses:
                    if not speech_length(clause):
                        continue  # stray punctuation is shown but not spoken
                    empty = False
                    self._latency.mark("first_clause")
                    if self._reply_options.speak and not await self._say(clause):
                        self._reply_options = replace(self._reply_options, speak=False)  # go on as text
                    await self._committed.wait()  # only the first clause is synthesized speculatively
        except Exception as failure:
            await self._fail("thinking", _describe_error(failure))
            return
        if empty:
            await self._fail("thinking", None)
            return
        await self._finish()

    async def _say(self, clause: str, *, aside: bool = False) -> bool:
        req = TTSReq(
            text=clause,
            voice_id=self._resolve_voice(),
            speed=self._reply_options.speed,
            ticket=self._ticket(),
        )
        try:
            await self.speech_output.synthesize_clause(req, aside=aside)
        except Exception as failure:
            error = _describe_error(failure)
            text = apology("synthesis", self._language)
            self._emit(TurnFailed(self.number, self._now(), "synthesis", error.kind, _line(error), text))
            return False
        return True

    async def _fail(self, stage: Stage, error: KuaimeiError | None) -> None:
        """Report a failure to the user, by speech if synthesis works, and end the turn cleanly."""
        kind = error.kind if error else "empty"
        message = _line(error) if error else f"{stage} returned nothing"
        text = apology(stage, self._language)
        self._emit(TurnFailed(self.number, self._now(), stage, kind, message, text))
        if not self._wants_reply:
            return
        await self._wait_for_predecessors()
        self._emit_reply_text(text)
        if self._reply_options.speak:
            await self._say(text, aside=True)
        await self._finish()

    async def _finish(self) -> None:
        await self._committed.wait()
        self._finished = True
        self._emit(
            ReplyFinished(self.number, self._now(), self.reply, self._shown, self.speech_output.audio_ms)
        )

    def _on_text(self, text: str) -> None:
        self._latency.mark("first_token")
        self._answer_shown += text
        self._emit_reply_text(text)

    def _emit_reply_text(self, text: str) -> None:
        if not self._reply_started:
            self._reply_started = True
            self._emit(
                ReplyStarted(
                    self.number,
                    self._now(),
                    self.reply,
                    self._resolve_voice(),
                    self._reply_options.speed,
                )
            )
        self._shown += text
        self._emit(ReplyText(self.number, self._now(), self.reply, text))

    def _resolve_voice(self) -> str:
        """Return the id of the reply's voice; empty if the reply is not spoken.

        A default is resolved to its id, because the default may change. It also replaces a voice deleted
        during the session: a reply in another voice is better than none.
        """
        if not self._reply_options.speak:
            return ""
        voices, wanted = self._synthesizer.voices, self._reply_options.voice
        return wanted if wanted in voices else next(iter(voices), "")

    def _time(self) -> None:
        if self._timed:
            return
        self._timed = True
        timing = self._latency.timing(
            speech_s=self._transcript.speech_s if self._transcript else 0.0,
            recognition_s=self._transcript.recognition_s if self._transcript else 0.0,
            tokens=self._reply_generator.tokens,
            writing_s=self._reply_generator.writing_s,
            reply_audio_s=self.speech_output.audio_ms / 1000.0,
        )
        self._emit(TurnMetrics(self.number, self._now(), timing))

    def _emit(self, event: Event) -> None:
        if not self.is_committed:
            self._buffered.append(event)
            return
        if isinstance(event, ReplyAudio):
            self._latency.mark("first_audio")
            self._latency.mark("last_audio")
        self._emit_outside(event)

    def _ticket(self) -> Ticket:
        priority = Priority.LIVE if self.is_committed else Priority.SPECULATIVE
        return Ticket(
            session=self._session,
            priority=priority,
            deadline=self._now() + self._settings.queue_timeout_s,
            claim=self._claim,
            wait=self._wait,
        )

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _in_english(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Append a request to reply in English: small models forget the system prompt's language rules."""
    *earlier, latest = messages
    return (*earlier, latest.model_copy(update={"content": f"{latest.content}\n(Please reply in English.)"}))


def _describe_error(failure: Exception) -> KuaimeiError:
    """Return ``failure`` as an error fit for clients; unexpected exceptions are logged as well."""
    if isinstance(failure, KuaimeiError):
        return failure
    _log.error("an engine raised an unexpected exception:\n%s", trace_of(failure))
    return EngineError(f"the engine failed ({kind_of(failure)}); see the server log")


def _line(error: KuaimeiError) -> str:
    """Return the message of ``error``, shortened and well-formed, as engines may report anything."""
    return to_well_formed(str(error))[:_MESSAGE_LIMIT]


def _discard_event(event: Event) -> None:
    """Discard an event of a cancelled turn."""
