"""One turn: understood, answered and spoken; begun on a guess, and nothing leaves until it is certain."""

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
"""Characters."""


class Turn:
    """Runs one turn from the end of listening to the last audio.

    Args:
        utterance: What the user speaks; None for a typed turn or a reply that was asked for.
        said: The user's words where they were typed; None with no ``utterance``: the history alone
            is answered.
        t0: Time of the user's last voiced frame; `commit` has the last word on it.
        after: Turns that must be over before this one is answered.
        approve: Awaited with the transcript (None: recognition failed) before anything is made of it;
            False: it was no turn.

    Attributes:
        user_text: What the user said, once known.
        answering: The reply is being prepared or spoken.
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
        self._outside = emit
        self._after = after
        self._approve = approve
        self._kept_back: list[Event] = []
        self._certain = asyncio.Event()
        self._claim = CommitFlag()
        self._wait = QueueTimer()
        self._user_entry: HistoryEntry | None = None
        self._reply_entry: HistoryEntry | None = None
        self._reply_started = False
        self._finished = False
        self._timed = False
        self._language: Language | None = None
        self._stopwatch = TurnLatency(self._now, t0)
        self._transcript: Transcript | None = None
        self._shown = ""
        self._answer_shown = ""
        self._synthesizer = engines.synthesizer
        self.speech_output = self._new_speaker()
        self._reply_generator = ReplyGenerator(engines.language_model, settings, self._ticket, self._on_text)
        self.task = tasks.start(self._run())

    @property
    def is_committed(self) -> bool:
        """`commit` was called."""
        return self._certain.is_set()

    @property
    def wants_reply(self) -> bool:
        """It is to be answered."""
        return self._wants_reply

    @property
    def has_audio(self) -> bool:
        """The reply is spoken, not only written."""
        return self._reply_options.speak

    @property
    def understood(self) -> bool:
        """The user's words are known, and are a turn."""
        return self.user_text is not None

    @property
    def ready(self) -> bool:
        """What the user waits for is there: the beginning of the reply, or the words where none is wanted."""
        if self.task.done():
            return True
        if not self._wants_reply:
            return self.understood
        return self.speech_output.audio_ms > 0 if self._reply_options.speak else bool(self._shown)

    @property
    def replying(self) -> bool:
        """Something of the reply has left the server."""
        return self._reply_started and self.is_committed

    @property
    def heard_text(self) -> str:
        """The words of the reply that reached the user: heard, or read where it was not spoken."""
        return self.speech_output.heard_text if self._reply_options.speak else self._answer_shown

    def commit(self, t0: float) -> None:
        """The turn is certain; ``t0`` is the time of the user's last voiced frame."""
        self._stopwatch.t0 = t0
        if self.utterance is not None:
            self._stopwatch.mark("endpoint")
        self._certain.set()
        self._claim.certain = True
        if self.utterance is not None or self.user_text:
            self._user_entry = self._history.add("user", self.user_text or "", label=f"user_{self.number}")
        self._reply_entry = self._history.add("assistant", label=self.reply)
        events, self._kept_back = self._kept_back, []
        for event in events:
            self._outside(event)
        self.speech_output.release()

    def ask(self, reply_options: ReplyOptions) -> bool:
        """Answer this turn after all; False if it is too late for that or there are no words to answer."""
        if self.task.done() or self._wants_reply or self.user_text == "":
            return False
        self._reply_options = reply_options
        self._wants_reply = True
        if self.speech_output.is_stopped:  # its reply had been called off already
            self.speech_output = self._new_speaker()
            self.speech_output.release()
        return True

    def interrupt(self, reason: Literal["barge_in", "cancelled", "closed"]) -> None:
        """The reply is over; of a turn not yet answered only that, its words are still to be understood."""
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
        self._outside = _no_tokens
        self.task.cancel()

    def keep(self) -> None:
        """Put what was heard of the reply into the history."""
        if self._reply_entry is not None:
            whole = self._finished and self.speech_output.heard_ms >= self.speech_output.audio_ms - 1.0
            self._reply_entry.content = self._answer_shown if whole else self.heard_text

    def _new_speaker(self) -> SpeechOutput:
        return SpeechOutput(self._synthesizer, self._settings, self._emit, self.number, self.reply)

    async def _run(self) -> None:
        try:
            if await self._transcribe():
                await self._wait_for_predecessors()
                if not self._wants_reply:
                    await self._certain.wait()  # until then it may yet be asked for
                if self._wants_reply:
                    self.answering = True
                    await self._answer()
            elif not self.understood and not self.is_committed:
                return  # it was no turn
        except Exception as error:  # a turn that fails must not take the conversation with it
            await self._fail("thinking", _describe_error(error))
        await self._certain.wait()
        self._time()
        await self.speech_output.played_out()
        self.speech_output.stop()
        self.keep()

    async def _wait_for_predecessors(self) -> None:
        for earlier in self._after:
            await asyncio.wait([earlier])

    async def _transcribe(self) -> bool:
        """False: there is nothing to answer."""
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
        self._stopwatch.mark("transcript")
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
                        continue  # a stray mark, seen but not spoken
                    empty = False
                    self._stopwatch.mark("first_clause")
                    if self._reply_options.speak and not await self._say(clause):
                        self._reply_options = replace(self._reply_options, speak=False)  # go on in writing
                    await self._certain.wait()  # nothing beyond the first clause on a mere guess
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
            voice_id=self._voice_for_language(),
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
        """Tell the user, aloud if the voice still works, and end the turn in good order."""
        kind = error.kind if error else "empty"
        message = _line(error) if error else f"{stage} gave nothing"
        text = apology(stage, self._language)
        self._emit(TurnFailed(self.number, self._now(), stage, kind, message, text))
        if not self._wants_reply:
            return
        await self._wait_for_predecessors()
        self._update_caption(text)
        if self._reply_options.speak:
            await self._say(text, aside=True)
        await self._finish()

    async def _finish(self) -> None:
        await self._certain.wait()
        self._finished = True
        self._emit(
            ReplyFinished(self.number, self._now(), self.reply, self._shown, self.speech_output.audio_ms)
        )

    def _on_text(self, text: str) -> None:
        self._stopwatch.mark("first_token")
        self._answer_shown += text
        self._update_caption(text)

    def _update_caption(self, text: str) -> None:
        if not self._reply_started:
            self._reply_started = True
            self._emit(
                ReplyStarted(
                    self.number,
                    self._now(),
                    self.reply,
                    self._voice_for_language(),
                    self._reply_options.speed,
                )
            )
        self._shown += text
        self._emit(ReplyText(self.number, self._now(), self.reply, text))

    def _voice_for_language(self) -> str:
        """In which the reply is spoken: the synthesiser's default by its name, for a default may change.

        So it is where a voice was deleted during the session: an answer in another voice is better than none.
        """
        if not self._reply_options.speak:
            return ""
        voices, wanted = self._synthesizer.voices, self._reply_options.voice
        return wanted if wanted in voices else next(iter(voices), "")

    def _time(self) -> None:
        if self._timed:
            return
        self._timed = True
        timing = self._stopwatch.timing(
            speech_s=self._transcript.speech_s if self._transcript else 0.0,
            recognition_s=self._transcript.recognition_s if self._transcript else 0.0,
            tokens=self._reply_generator.tokens,
            writing_s=self._reply_generator.writing_s,
            reply_audio_s=self.speech_output.audio_ms / 1000.0,
        )
        self._emit(TurnMetrics(self.number, self._now(), timing))

    def _emit(self, event: Event) -> None:
        if not self.is_committed:
            self._kept_back.append(event)
            return
        if isinstance(event, ReplyAudio):
            self._stopwatch.mark("first_audio")
            self._stopwatch.mark("last_audio")
        self._outside(event)

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
    """A small model forgets what the system prompt says of languages: the latest message says it again."""
    *earlier, latest = messages
    return (*earlier, latest.model_copy(update={"content": f"{latest.content}\n(Please reply in English.)"}))


def _describe_error(failure: Exception) -> KuaimeiError:
    """``failure`` as something that can be told; what nobody foresaw goes to the log as well."""
    if isinstance(failure, KuaimeiError):
        return failure
    _log.error("an engine failed in a way it should not:\n%s", trace_of(failure))
    return EngineError(f"the engine failed ({kind_of(failure)}); the server's log says where")


def _line(error: KuaimeiError) -> str:
    """What is told and kept of a failure: an engine's words may be long, and need not be text."""
    return to_well_formed(str(error))[:_MESSAGE_LIMIT]


def _no_tokens(event: Event) -> None:
    """Events of a cancelled turn go nowhere."""
