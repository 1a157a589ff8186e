"""Who speaks: clauses in; audio out, with an account of what the listener has heard."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.audio.streams import closing
from kuaimei.dialogue.events import ClauseReady, Event, ReplyAudio, ReplyPaused, ReplyResumed
from kuaimei.dialogue.timeouts import timeout_excluding_queue
from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.types import TTSReq
from kuaimei.errors import EngineUnavailable
from kuaimei.settings import DialogueSettings

__all__ = ["SpeechOutput"]


_MIN_SLEEP_S = 1e-3
"""Time to wait that is not worth waiting."""
_CHARACTER_S = 0.2
"""Spoken length of a character, where a clause is not complete yet."""


@dataclass(slots=True)
class _ClauseSpan:
    """A clause and its place in the reply, in samples; ``end`` is a guess until it is complete."""

    text: str
    start: int
    end: int


class SpeechOutput:
    """Speaks one reply.

    Audio is handed over as soon as it exists, faster than it is played; what has been heard follows
    from when it was handed over, or from what the client reports. Until `release` (the turn is
    certain) and between `pause` and `resume` nothing leaves.

    Args:
        emit: Takes events; called on the event loop.
        turn: Number of the turn, on every event.
        reply: Id of the reply, likewise.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        settings: DialogueSettings,
        emit: Callable[[Event], None],
        turn: int,
        reply: str,
    ) -> None:
        self._synthesizer = synthesizer
        self._settings = settings
        self._emit = emit
        self._turn = turn
        self._reply = reply
        self._rate = synthesizer.sample_rate
        self._pcm: list[Pcm] = []
        self._made = 0
        self._sent = 0
        self._left = 0  # the furthest that was ever handed over
        self._clauses: list[_ClauseSpan] = []
        self._plays_until = -math.inf
        self._released = False
        self._held = False
        self._changed = asyncio.Event()
        self._begun = False
        self._over = False

    @property
    def audio_ms(self) -> float:
        """Length of the audio made so far."""
        return self._ms(self._made)

    @property
    def is_paused(self) -> bool:
        """Between `pause` and `resume`."""
        return self._held

    @property
    def is_stopped(self) -> bool:
        """`stop` was called."""
        return self._over

    @property
    def has_started(self) -> bool:
        """Something has been handed over."""
        return self._begun

    @property
    def heard_ms(self) -> float:
        """How much of the reply has been played by now."""
        ahead_s = max(0.0, self._plays_until - self._now())
        return max(0.0, self._ms(self._sent) - ahead_s * 1000.0)

    @property
    def heard_text(self) -> str:
        """The words within `heard_ms`; the clause being spoken counts in proportion to its time."""
        heard = self.heard_ms * self._rate / 1000.0
        text = ""
        for clause in self._clauses:
            if heard >= clause.end:
                text += clause.text
            elif heard > clause.start:
                share = (heard - clause.start) / max(1, clause.end - clause.start)
                return text + _text_within(clause.text, share)
        return text

    async def synthesize_clause(self, req: TTSReq, *, aside: bool = False) -> None:
        """Synthesise one clause and hand it over, or keep it until it may be.

        Args:
            req: The clause, in which voice.
            aside: It is spoken, but is not part of what the reply says (an apology).

        Raises:
            EngineError: If synthesis failed; `EngineUnavailable` if it took too long.
        """
        asked_at = self._now()
        await self._wait_for_lead()
        started_at = self._now()
        if (deadline := req.ticket.deadline) is not None:  # the listener's time is not the synthesiser's
            ticket = req.ticket.model_copy(update={"deadline": deadline + started_at - asked_at})
            req = req.model_copy(update={"ticket": ticket})
        limit_s = self._settings.synthesis_timeout_s
        clause: _ClauseSpan | None = None
        try:
            async with (
                timeout_excluding_queue(limit_s, req.ticket.wait),
                closing(self._synthesizer.stream(req)) as stream,
            ):
                async for pcm in stream:
                    if clause is None:
                        clause = self._clause_begins(req.text, started_at, aside=aside)
                    self._append(pcm)
                    clause.end = max(clause.end, self._made)
        except TimeoutError:
            raise EngineUnavailable(f"synthesis did not finish within {limit_s:g} s") from None
        if clause is not None:
            clause.end = self._made

    def _clause_begins(self, text: str, started_at: float, *, aside: bool) -> _ClauseSpan:
        now, index, start_ms = self._now(), len(self._clauses), self._ms(self._made)
        guess = self._made + int(len(text) * _CHARACTER_S * self._rate)
        clause = _ClauseSpan("" if aside else text, self._made, guess)
        self._clauses.append(clause)
        synthesis_ms = (now - started_at) * 1000.0
        self._emit(ClauseReady(self._turn, now, self._reply, index, text, start_ms, synthesis_ms))
        return clause

    def release(self) -> None:
        """The turn is certain: what has been made may leave."""
        self._released = True
        self._hand_over()

    def pause(self) -> None:
        """Silence at once; nothing more leaves."""
        if self._held or self._over:
            return
        self._held = True
        if self.has_started:
            self._freeze_heard()
            self._emit(ReplyPaused(self._turn, self._now(), self._reply, self.heard_ms))

    def resume(self) -> None:
        """Go on from where the listener stopped hearing."""
        if not self._held:
            return
        self._held = False
        if self.has_started:
            self._emit(ReplyResumed(self._turn, self._now(), self._reply, self.heard_ms))
        self._hand_over()

    def stop(self) -> None:
        """The reply is over, played to its end or not: what has been heard by now stays so."""
        if not self._over:
            self._freeze_heard()
            self._over = True
            self._held = False
            self._pcm.clear()  # a session may rest for hours after its last reply
            self._changed.set()

    def report_playback(self, heard_ms: float) -> None:
        """The client reports that ``heard_ms`` of the reply have been played by now.

        While the reply is being played that sets the account right; once it is held or over it is the
        last word on how much was heard.
        """
        heard = min(self._left, max(0, round(heard_ms * self._rate / 1000.0)))
        if self._held or self._over:
            self._sent = heard
        else:
            self._plays_until = self._now() + max(0, self._sent - heard) / self._rate
        self._changed.set()

    def _freeze_heard(self) -> None:
        """What has been heard by now is all that counts as sent: the rest was thrown away by the client."""
        self._sent = min(self._sent, round(self.heard_ms * self._rate / 1000.0))
        self._plays_until = -math.inf

    async def played_out(self) -> None:
        """Wait until everything made has been handed over and played, or the reply is over."""
        while not self._over:
            self._changed.clear()
            left_s = self._plays_until - self._now()
            if self._released and not self._held and self._sent >= self._made and left_s <= _MIN_SLEEP_S:
                return
            timeout = left_s if left_s > _MIN_SLEEP_S else None
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _wait_for_lead(self) -> None:
        """Wait while the audio is far enough ahead of the listener."""
        lead_s = self._settings.speech_lead_ms / 1000.0
        while True:
            self._changed.clear()
            waiting = (self._made - self._sent) / self._rate
            ahead = waiting + max(0.0, self._plays_until - self._now())
            if ahead <= lead_s + _MIN_SLEEP_S:
                return
            timeout = None if waiting > lead_s else ahead - lead_s
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _append(self, pcm: Pcm) -> None:
        self._pcm.append(pcm)
        self._made += len(pcm)
        self._hand_over()

    def _hand_over(self) -> None:
        self._changed.set()
        if not self._released or self._held or self._over or self._sent >= self._made:
            return
        now = self._now()
        pcm = self._slice(self._sent)
        start_ms = self._ms(self._sent)
        self._sent = self._left = self._made
        self._plays_until = max(self._plays_until, now) + len(pcm) / self._rate
        self._begun = True
        self._emit(ReplyAudio(self._turn, now, self._reply, pcm, self._rate, start_ms))

    def _slice(self, start: int) -> Pcm:
        """Everything made from sample ``start`` on."""
        end, parts = self._made, []
        for pcm in reversed(self._pcm):
            begin = end - len(pcm)
            parts.append(pcm[max(0, start - begin) :])
            if begin <= start:
                break
            end = begin
        return np.concatenate(parts[::-1]) if parts else EMPTY

    def _ms(self, samples: int) -> float:
        return samples * 1000.0 / self._rate

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _text_within(text: str, share: float) -> str:
    """The beginning of ``text`` spoken in ``share`` of its time; latin words are not cut in two."""
    cut = int(len(text) * share + 1e-6)
    while (
        0 < cut < len(text)
        and text[cut - 1].isascii()
        and text[cut - 1].isalnum()
        and (text[cut].isascii() and text[cut].isalnum())
    ):
        cut -= 1
    return text[:cut]
