"""Speech output of one reply: synthesizes clauses and tracks how much has been played."""

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
"""Waits shorter than this are skipped."""
_CHARACTER_S = 0.2
"""Estimated spoken length of a character, while a clause is not complete."""


@dataclass(slots=True)
class _ClauseSpan:
    """A clause and its position in the reply, in samples; ``end`` is an estimate until it is complete."""

    text: str
    start: int
    end: int


class SpeechOutput:
    """Speech output of one reply.

    Audio is emitted as soon as it exists, faster than it is played. How much has been heard is derived from
    the time of emission, or from what the client reports. Nothing is emitted before `release` (the turn is
    committed) or between `pause` and `resume`.

    Args:
        synthesizer: Synthesizes the clauses, at its own sample rate.
        settings: Dialogue settings.
        emit: Receives events; called on the event loop.
        turn: Number of the turn, for all events.
        reply: Id of the reply, for all events.
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
        self._left = 0  # end of the furthest audio ever emitted
        self._clauses: list[_ClauseSpan] = []
        self._plays_until = -math.inf
        self._released = False
        self._held = False
        self._changed = asyncio.Event()
        self._begun = False
        self._over = False

    @property
    def audio_ms(self) -> float:
        """Milliseconds of audio synthesized so far."""
        return self._ms(self._made)

    @property
    def is_paused(self) -> bool:
        """True between `pause` and `resume`."""
        return self._held

    @property
    def is_stopped(self) -> bool:
        """True once `stop` was called."""
        return self._over

    @property
    def has_started(self) -> bool:
        """True once audio has been emitted."""
        return self._begun

    @property
    def heard_ms(self) -> float:
        """Milliseconds of the reply that have been played by now."""
        ahead_s = max(0.0, self._plays_until - self._now())
        return max(0.0, self._ms(self._sent) - ahead_s * 1000.0)

    @property
    def heard_text(self) -> str:
        """Text within `heard_ms`; the clause being played counts in proportion to its time."""
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
        """Synthesize one clause and emit its audio, or keep it until `release` or `resume`.

        Waits first while the audio is more than ``speech_lead_ms`` ahead of the listener.

        Args:
            req: The clause and its voice.
            aside: True: the clause is spoken but does not belong to the text of the reply (an apology).

        Raises:
            EngineError: If synthesis failed; `EngineUnavailable` if it took too long.
        """
        asked_at = self._now()
        await self._wait_for_lead()
        started_at = self._now()
        if (deadline := req.ticket.deadline) is not None:  # waiting for the listener does not count
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
        """Emit the audio made so far, and all further audio: the turn is committed."""
        self._released = True
        self._hand_over()

    def pause(self) -> None:
        """Pause playback at once; nothing is emitted until `resume`."""
        if self._held or self._over:
            return
        self._held = True
        if self.has_started:
            self._freeze_heard()
            self._emit(ReplyPaused(self._turn, self._now(), self._reply, self.heard_ms))

    def resume(self) -> None:
        """Resume from where playback was paused."""
        if not self._held:
            return
        self._held = False
        if self.has_started:
            self._emit(ReplyResumed(self._turn, self._now(), self._reply, self.heard_ms))
        self._hand_over()

    def stop(self) -> None:
        """End the reply, played to its end or not, and freeze how much has been heard."""
        if not self._over:
            self._freeze_heard()
            self._over = True
            self._held = False
            self._pcm.clear()  # a session may rest for hours after its last reply
            self._changed.set()

    def report_playback(self, heard_ms: float) -> None:
        """Record the client's report that ``heard_ms`` of the reply have been played by now.

        While the reply is playing, this corrects the estimate; once it is paused or over, the value is
        final.
        """
        heard = min(self._left, max(0, round(heard_ms * self._rate / 1000.0)))
        if self._held or self._over:
            self._sent = heard
        else:
            self._plays_until = self._now() + max(0, self._sent - heard) / self._rate
        self._changed.set()

    def _freeze_heard(self) -> None:
        """Count only the audio heard by now as sent: the client has discarded the rest."""
        self._sent = min(self._sent, round(self.heard_ms * self._rate / 1000.0))
        self._plays_until = -math.inf

    async def played_out(self) -> None:
        """Wait until all audio made so far has been emitted and played, or the reply is stopped."""
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
        """Wait while the audio is more than ``speech_lead_ms`` ahead of the listener."""
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
        """Return all audio made from sample ``start`` on."""
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
    """Return the part of ``text`` spoken in ``share`` (0 to 1) of its time; Latin words are not split."""
    cut = int(len(text) * share + 1e-6)
    while (
        0 < cut < len(text)
        and text[cut - 1].isascii()
        and text[cut - 1].isalnum()
        and (text[cut].isascii() and text[cut].isalnum())
    ):
        cut -= 1
    return text[:cut]
