"""Recorder of one conversation: turns its events into utterances."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_bytes
from kuaimei.dialogue.events import (
    ClauseReady,
    Event,
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    ReplyText,
    SpeechAudio,
    SpeechRejected,
    SpeechStarted,
    TurnEnded,
    TurnFailed,
    TurnMetrics,
    UserText,
)
from kuaimei.store.spool import SpoolRun, SpoolWriter
from kuaimei.store.utterance_ingest import PendingUtterance, UtteranceIngest
from kuaimei.store.utterance_record import LOCAL, Role, UtteranceRecord
from kuaimei.text.wellformed import to_well_formed

__all__ = ["Recorder"]

_log = logging.getLogger(__name__)

_MAX_OPEN_UTTERANCES = 8
"""Utterances of either side that may still get updates: a transcript, how much was heard."""
_CLOSE_TIMEOUT_S = 10.0
_SPOOLED_MAX_S = 1800
"""Seconds of audio in one file: longer speech continues in another one. A conversation ends utterances long
before; this limit does not depend on that."""
_MESSAGE_MAX = 500
"""Characters of an engine's error message."""


class Recorder:
    """Observer of one conversation (`kuaimei.dialogue.events.Observer`); returns at once.

    Audio goes to the spool as it arrives; records go to the `UtteranceIngest`, which writes the rows.

    Args:
        session: Id of the session.
        run: This process's spool run.
        writer: Writer of the spools.
        ingest: Writes the rows and stores the audio.
        owner: Id of the session's owner.
        client: What the client says about itself, if the session has to be made.
        voice: Initial value of the attribute.
        engine: Initial value of the attribute.
        room: Returns True if there is disk space for audio.
        closed: Called when the recorder is closed.

    Attributes:
        voice: Voice of replies whose events name none.
        engine: Name of the speech synthesis engine.
    """

    def __init__(
        self,
        session: str,
        run: SpoolRun,
        writer: SpoolWriter,
        ingest: UtteranceIngest,
        *,
        owner: str = LOCAL,
        client: dict[str, Any] | None = None,
        voice: str = "",
        engine: str = "",
        room: Callable[[], bool] = lambda: True,
        closed: Callable[["Recorder"], None] = lambda recorder: None,
    ) -> None:
        self.session = session
        self.owner = owner
        self.voice = voice
        self.engine = engine
        self._client = client or {}
        self._run = run
        self._writer = writer
        self._ingest = ingest
        self._room = room
        self._closed = closed
        self._stopped = False
        self._speech: PendingUtterance | None = None
        self._heard_bytes = 0
        self._users: dict[int, PendingUtterance] = {}  # turn -> the user's side of it
        self._replies: dict[str, PendingUtterance] = {}  # reply id -> reply
        self._halves: dict[str, str] = {}  # reply id -> what its text ended with
        self._apologised: set[int] = set()  # turns whose reply ends in an apology

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if self._stopped:
            return
        match event:
            case SpeechAudio():
                self._hear(event.pcm)
            case ReplyAudio():
                self._speak(event)
            case ReplyText():
                self._write(event)
            case SpeechStarted():
                self._end_speech()
                self._speech = self._begin("user", event.turn, event.at, sample_rate=ASR_RATE)
                self._remember(self._users, event.turn, self._speech)
            case TurnEnded():
                self._end_speech(event.turn)
            case SpeechRejected():
                self._drop(event.text)
            case UserText():
                typed = self._begin("user", event.turn, event.at, transcript=event.text)
                self._remember(self._users, event.turn, typed)
                self._end(typed)
            case FinalTranscript():
                self._understand(event)
            case ReplyStarted():
                known = {"voice": event.voice or self.voice, "speed": event.speed, "engine": self.engine}
                reply = self._begin("assistant", event.turn, event.at, transcript="", **known)
                self._remember(self._replies, event.reply, reply)
            case ClauseReady() if event.reply in self._replies:
                self._clause(self._replies[event.reply], event)
            case ReplyFinished():
                self._finish(event)
            case ReplyInterrupted():
                self._interrupt(event)
            case TurnFailed():
                self._fail(event)
            case TurnMetrics():
                if (item := self._of_turn(event.turn)) is not None:
                    item.record.timings = asdict(event.timing)
                    self._save_item(item)
            case _:
                pass

    async def close(self) -> None:
        """End the recording: close open utterances and wait (not for ever) until all is stored."""
        if not self._stopped:
            items = {*self._users.values(), *self._replies.values()}
            self._end_speech()
            for reply in self._replies.values():
                if not reply.record.ended:
                    self._end(reply)
            for item in self._users.values():
                if item.record.transcript is None and item.record.is_turn:
                    item.wants_transcript = True
                    self._save_item(item)
            self._stopped = True
            if not await self._ingest.flush(_CLOSE_TIMEOUT_S, items):
                _log.warning(
                    "session %s ended before all of it was stored; the rest waits in the spool", self.session
                )
        self._closed(self)

    def stop(self) -> None:
        """Stop recording and drop pending utterances, because the session is deleted."""
        self._stopped = True
        for item in (*self._users.values(), *self._replies.values()):
            self._ingest.discard(item)

    def _begin(self, speaker: Role, turn: int, at: float, **known: Any) -> PendingUtterance:
        started = datetime.now(UTC) - timedelta(seconds=asyncio.get_running_loop().time() - at)
        about = {"session": self.session, "owner": self.owner, "turn": turn, "speaker": speaker}
        record = UtteranceRecord(**about, started_at=started, **known)
        item = PendingUtterance(record, self._run.spool(record.id), self._run.id, self._client)
        self._save_item(item)
        return item

    def _end(self, item: PendingUtterance) -> None:
        item.record.ended = True
        self._save_item(item)

    def _save_item(self, item: PendingUtterance) -> None:
        """Save a changed record, beside its spool first: a recovery knows no less than the row."""
        self._save(item)
        self._ingest.enqueue(item)

    def _save(self, item: PendingUtterance) -> None:
        if not item.gone:
            self._writer.post(partial(item.spool.save, item.record.model_dump_json().encode()))

    def _hear(self, pcm: Pcm) -> None:
        if self._speech is not None and self._heard_bytes >= _SPOOLED_MAX_S * ASR_RATE * 2:
            self._go_on(self._speech)
        if (item := self._speech) is not None and not item.gone:
            data = to_bytes(pcm)
            self._spool(item, self._heard_bytes, data)
            self._heard_bytes += len(data)

    def _go_on(self, item: PendingUtterance) -> None:
        """Continue speech that does not end in another record; the transcript belongs to the first."""
        record = item.record
        self._end(item)
        more = {"sample_rate": ASR_RATE, "is_turn": False, "transcript": ""}
        self._speech = self._begin("user", record.turn, asyncio.get_running_loop().time(), **more)
        self._heard_bytes = 0

    def _spool(self, item: PendingUtterance, offset: int, data: bytes) -> None:
        """Write audio to the spool, unless the disk is nearly full."""
        if self._room():
            self._writer.post(partial(item.spool.write, offset, data), len(data))
        else:
            self._writer.lose(len(data))

    def _end_speech(self, turn: int | None = None) -> None:
        item, self._speech = self._speech, None
        self._heard_bytes = 0
        if item is not None:
            if turn is not None and turn != item.record.turn:
                # It began over the reply of an earlier turn and became a turn of its own.
                if self._users.get(item.record.turn) is item:
                    del self._users[item.record.turn]
                item.record.turn = turn
                self._remember(self._users, turn, item)
            self._end(item)

    def _drop(self, words: str) -> None:
        item, self._speech = self._speech, None
        self._heard_bytes = 0
        if item is not None:
            item.record.is_turn = False
            item.record.transcript = words
            if self._users.get(item.record.turn) is item:
                del self._users[item.record.turn]
            self._end(item)

    def _understand(self, event: FinalTranscript) -> None:
        if (item := self._users.get(event.turn)) is not None:
            item.record.transcript = event.text
            item.record.language = event.language
            self._save_item(item)

    def _write(self, event: ReplyText) -> None:
        if (item := self._replies.get(event.reply)) is not None:
            text = self._halves.pop(event.reply, "") + event.text
            if "\ud800" <= text[-1:] <= "\udbff":
                # Half of a surrogate pair: the other half comes with the next piece.
                text, self._halves[event.reply] = text[:-1], text[-1]
            item.record.transcript = (item.record.transcript or "") + text

    def _speak(self, event: ReplyAudio) -> None:
        item = self._replies.get(event.reply)
        if item is None or item.record.ended or item.gone:
            return  # after its end, only audio that is recorded already is sent again
        if item.record.sample_rate is None:
            item.record.sample_rate = event.rate
            self._save(item)
        data = to_bytes(event.pcm)
        offset = 2 * max(0, round(event.start_ms * event.rate / 1000.0))
        if offset + len(data) <= _SPOOLED_MAX_S * event.rate * 2:
            self._spool(item, offset, data)
        else:
            self._writer.lose(len(data))

    def _clause(self, item: PendingUtterance, event: ClauseReady) -> None:
        if not item.record.ended:
            item.record.clauses.append(to_well_formed(event.text))
            self._save_item(item)  # so that the text so far survives a crash

    def _finish(self, event: ReplyFinished) -> None:
        self._halves.pop(event.reply, None)
        if (item := self._replies.get(event.reply)) is not None:
            item.record.transcript = event.text
            if not item.record.interrupted:
                item.record.heard_ms = event.audio_ms
                item.record.wants_hq = item.record.turn not in self._apologised
            self._end(item)

    def _interrupt(self, event: ReplyInterrupted) -> None:
        if (item := self._replies.get(event.reply)) is not None:
            item.record.interrupted = True
            item.record.heard_ms = event.heard_ms
            item.record.heard_text = event.heard_text
            # After a barge-in the user may still want to hear the rest, which stays on the screen: all of
            # it is rendered. A cancelled reply is not wanted at all.
            unwanted = event.reason == "cancelled" or item.record.turn in self._apologised
            item.record.wants_hq = not unwanted
            self._end(item)

    def _fail(self, event: TurnFailed) -> None:
        if event.stage != "synthesis":
            self._apologised.add(event.turn)
        user = self._users.get(event.turn)
        if event.stage == "recognition" and user is not None and user.record.transcript is None:
            user.wants_transcript = True  # no longer urgent: a job tries again
        if (item := self._of_turn(event.turn)) is not None:
            message = to_well_formed(event.message)[:_MESSAGE_MAX]
            item.record.failures.append({"stage": event.stage, "kind": event.kind, "message": message})
            self._save_item(item)

    def _of_turn(self, turn: int) -> PendingUtterance | None:
        replies = (item for item in reversed(self._replies.values()) if item.record.turn == turn)
        return self._users.get(turn) or next(replies, None)

    def _remember(self, known: dict[Any, PendingUtterance], key: object, item: PendingUtterance) -> None:
        known[key] = item
        while len(known) > _MAX_OPEN_UTTERANCES:
            oldest = known.pop(next(iter(known)))
            if not oldest.record.ended and oldest is not self._speech:
                self._end(oldest)
