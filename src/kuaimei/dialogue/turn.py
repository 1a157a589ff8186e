"""One turn: understood, answered and spoken; begun on a guess, and nothing leaves until it is certain."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kuaimei.dialogue.apologies import apology
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.events import (
    Event,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    Stage,
    TranscriptFinal,
    TurnFailed,
    TurnTimed,
    TurnTiming,
)
from kuaimei.dialogue.history import History
from kuaimei.dialogue.speaking import Speaker
from kuaimei.dialogue.thinking import Thinker
from kuaimei.dialogue.utterance import Transcript, Utterance
from kuaimei.engines.types import Language, LLMReq, Priority, Ticket, TTSReq
from kuaimei.errors import KuaimeiError
from kuaimei.settings import DialogueSettings

__all__ = ["Manner", "Turn"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Manner:
    """How this session wants to be answered; a client may change it between turns.

    Attributes:
        speak: False: replies in text only.
        reply: False: a turn is transcribed and waits for an explicit request to be answered.
        interrupt: False: speech over the reply does not stop it.
    """

    voice: str = ""
    speed: float = 1.0
    instructions: str = ""
    speak: bool = True
    reply: bool = True
    interrupt: bool = True


class Turn:
    """Runs one turn from the end of listening to the last audio.

    Args:
        approve: Awaited with the transcript before anything is made of it; False: it was no turn.
        said: The user's words where they were typed; None with no ``utterance``: the history alone
            is answered.

    Attributes:
        user_text: What the user said, once known.
    """

    def __init__(
        self,
        number: int,
        engines: Engines,
        settings: DialogueSettings,
        manner: Manner,
        history: History,
        session: str,
        emit: Callable[[Event], None],
        *,
        utterance: Utterance | None = None,
        said: str | None = None,
        t0: float,
        approve: Callable[[Transcript], Awaitable[bool]] | None = None,
    ) -> None:
        self.number = number
        self.reply = f"reply_{number}"
        self.utterance = utterance
        self.user_text = said
        self.t0 = t0
        self._engines = engines
        self._settings = settings
        self._manner = manner
        self._history = history
        self._session = session
        self._outside = emit
        self._approve = approve
        self._kept_back: list[Event] = []
        self._certain = asyncio.Event()
        self._recorded = False
        self._reply_started = False
        self._language: Language | None = None
        self._marks: dict[str, float] = {}
        self._transcript: Transcript | None = None
        self._shown = ""
        self.speaker = Speaker(engines.synthesizer, settings, self._emit, number, self.reply)
        self._thinker = Thinker(engines.language_model, settings, self._written)
        self.task = asyncio.ensure_future(self._run())

    @property
    def certain(self) -> bool:
        """`commit` was called."""
        return self._certain.is_set()

    @property
    def replying(self) -> bool:
        """Something of the reply has left the house."""
        return self._reply_started and self.certain

    @property
    def shown_text(self) -> str:
        """The reply as far as it was written for the user to read."""
        return self._shown

    def commit(self, t0: float) -> None:
        """The turn is certain; ``t0`` is the time of the user's last voiced frame."""
        self.t0 = t0
        self._marks["endpoint"] = self._now()
        self._certain.set()
        self._record()
        events, self._kept_back = self._kept_back, []
        for event in events:
            self._outside(event)
        self.speaker.release()

    def cancel(self) -> None:
        """Stop every stage at once; nothing more is emitted."""
        self._outside = _nobody
        self.task.cancel()

    async def _run(self) -> None:
        try:
            if not await self._understand():
                return
            if self._manner.reply or self.utterance is None:
                await self._answer()
            await self._certain.wait()
            self._time()
            await self.speaker.played_out()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a turn that fails must not take the conversation with it
            _log.exception("turn %d of session %s failed", self.number, self._session)
            await self._fail("thinking", error)

    async def _understand(self) -> bool:
        if self.utterance is None:
            return True
        try:
            transcript = await self.utterance.transcript()
        except KuaimeiError as error:
            if self._approve is None or await self._approve(Transcript("", None, 0.0, 0.0)):
                await self._fail("recognition", error)
            return False
        if self._approve is not None and not await self._approve(transcript):
            return False
        self._transcript = transcript
        self._language = transcript.language
        self._mark("transcript")
        if not transcript.text:
            await self._fail("listening", None)
            return False
        self.user_text = transcript.text
        self._emit(TranscriptFinal(self.number, self._now(), transcript.text, transcript.language))
        if self.certain:
            self._record()
        return True

    async def _answer(self) -> None:
        said = "" if self._recorded else self.user_text or ""
        prompt = self._manner.instructions or self._settings.system_prompt
        req = LLMReq(
            messages=self._history.request(prompt, self._settings.history_tokens, said),
            max_tokens=self._settings.max_reply_tokens,
            ticket=self._ticket(self._settings.first_token_timeout_s),
        )
        try:
            spoken = False
            async for clause in self._thinker.clauses(req):
                self._mark("clause")
                if clause.strip() and self._manner.speak and not await self._say(clause):
                    self._manner = _silently(self._manner)  # the voice failed: go on in writing
                spoken = spoken or bool(clause.strip())
                await self._certain.wait()  # nothing beyond the first clause on a mere guess
        except KuaimeiError as error:
            await self._fail("thinking", error)
            return
        if not spoken:
            await self._fail("thinking", None)
            return
        await self._certain.wait()
        self._emit(ReplyFinished(self.number, self._now(), self.reply, self._shown, self.speaker.audio_ms))

    async def _say(self, clause: str) -> bool:
        req = TTSReq(
            text=clause,
            voice_id=self._manner.voice,
            speed=self._manner.speed,
            ticket=self._ticket(self._settings.synthesis_timeout_s),
        )
        try:
            await self.speaker.say(req)
        except KuaimeiError as error:
            text = apology("synthesis", self._language)
            self._emit(TurnFailed(self.number, self._now(), "synthesis", error.kind, str(error), text))
            return False
        return True

    async def _fail(self, stage: Stage, error: Exception | None) -> None:
        """Tell the user, aloud if the voice still works, and end the turn in good order."""
        kind = error.kind if isinstance(error, KuaimeiError) else "empty" if error is None else "internal"
        nothing = "nothing was understood" if stage == "listening" else "the model wrote nothing"
        text = apology(stage, self._language)
        self._emit(TurnFailed(self.number, self._now(), stage, kind, str(error) if error else nothing, text))
        self._written(text)
        if self._manner.speak:
            await self._say(text)
        await self._certain.wait()
        self._emit(ReplyFinished(self.number, self._now(), self.reply, self._shown, self.speaker.audio_ms))
        self._time()
        await self.speaker.played_out()

    def _written(self, text: str) -> None:
        self._mark("token")
        if not self._reply_started:
            self._reply_started = True
            self._emit(ReplyStarted(self.number, self._now(), self.reply))
        self._shown += text
        self._emit(ReplyText(self.number, self._now(), self.reply, text))

    def _record(self) -> None:
        """The user's words enter the history once they are both known and certain."""
        if not self._recorded and self.user_text:
            self._recorded = True
            self._history.add("user", self.user_text)

    def _time(self) -> None:
        def since_t0(at: float | None) -> float | None:
            return None if at is None else (at - self.t0) * 1000.0

        timing = TurnTiming(
            endpoint_ms=since_t0(self._marks.get("endpoint")) if self.utterance else None,
            transcript_ms=since_t0(self._marks.get("transcript")),
            first_token_ms=since_t0(self._marks.get("token")),
            first_clause_ms=since_t0(self._marks.get("clause")),
            first_audio_ms=since_t0(self.speaker.first_audio_at),
            last_audio_ms=since_t0(self.speaker.last_audio_at),
            speech_s=self._transcript.speech_s if self._transcript else 0.0,
            recognition_s=self._transcript.recognition_s if self._transcript else 0.0,
            tokens=self._thinker.tokens,
            writing_s=self._thinker.writing_s,
            reply_audio_s=self.speaker.audio_ms / 1000.0,
        )
        self._emit(TurnTimed(self.number, self._now(), timing))

    def _emit(self, event: Event) -> None:
        if self.certain:
            self._outside(event)
        else:
            self._kept_back.append(event)

    def _mark(self, stage: str) -> None:
        self._marks.setdefault(stage, self._now())

    def _ticket(self, patience_s: float) -> Ticket:
        priority = Priority.LIVE if self.certain else Priority.SPECULATIVE
        return Ticket(session=self._session, priority=priority, deadline=self._now() + patience_s)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _silently(manner: Manner) -> Manner:
    return Manner(manner.voice, manner.speed, manner.instructions, False, manner.reply, manner.interrupt)


def _nobody(event: Event) -> None:
    """Events of a cancelled turn go nowhere."""
