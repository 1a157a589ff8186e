"""Translation of conversation events to events of the Realtime protocol.

The translator is an observer: it is called on the event loop and returns at once; its events go to the send
queue. What the protocol has no event for is sent as a ``kuaimei.*`` event.
"""

from dataclasses import asdict
from typing import Any

from kuaimei.analysis.job import Scored
from kuaimei.dialogue.events import (
    CaptionUpdated,
    ClauseReady,
    Event,
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyPaused,
    ReplyResumed,
    ReplyStarted,
    ReplyText,
    SpeechAudio,
    SpeechRejected,
    SpeechStarted,
    StateChanged,
    TurnEnded,
    TurnFailed,
    TurnMetrics,
)
from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.engines.llm.context_window import estimate_tokens
from kuaimei.rendering.broadcast import Ready
from kuaimei.server.realtime.config import SessionConfig
from kuaimei.server.realtime.items import Items, user_audio_item
from kuaimei.server.realtime.playback import EventPlayback, Playback
from kuaimei.server.realtime.protocol import ServerEvent, new_id
from kuaimei.server.realtime.response import RealtimeResponse, ResponseStatus
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.views.analysis import scored_body
from kuaimei.server.views.renderings import ready_body

__all__ = ["ServerEventEmitter"]

_REPLIES_KEPT = 200
"""Replies, and user turns, whose ids are kept for results that arrive minutes later (renderings, analyses).
"""
_TURNS_KEPT = 16
"""Turns for which state is kept although they did not end."""


class ServerEventEmitter:
    """Translates events of one conversation; independent of the transport.

    Args:
        session: Id of the session, which is also the conversation's.
        outbox: Queue of events to send.
        config: The initial configuration.
        playback: Plays the audio of replies; None: it travels in events.

    Attributes:
        config: The effective configuration; replaced by ``session.update``.
        items: Items of the conversation.
    """

    def __init__(
        self, session: str, outbox: SendQueue, config: SessionConfig, playback: Playback | None = None
    ) -> None:
        self._session = session
        self._outbox = outbox
        self._reply: RealtimeResponse | None = None
        self._user_items: dict[int, str] = {}
        self._ended: dict[int, float] = {}
        self._started_ms: dict[int, float] = {}
        self._unfinished: int | None = None
        self._replied: dict[int, tuple[str, str]] = {}  # turn -> response, item
        self._said: dict[int, str] = {}  # turn -> item
        self.config = config
        self.items = Items()
        self.playback: Playback = playback or EventPlayback(outbox)

    @property
    def reply(self) -> RealtimeResponse | None:
        """The latest response."""
        return self._reply

    @property
    def unfinished_turn(self) -> int | None:
        """The user's turn that has ended but is not yet transcribed and answered."""
        return self._unfinished

    @property
    def responding(self) -> bool:
        """True while a response is in progress."""
        return self._reply is not None and not self._reply.closed

    def send(self, event: ServerEvent) -> None:
        """Send an event that does not come from the conversation."""
        self._outbox.put(event)

    def open_reply(
        self, turn: int, reply_options: ReplyOptions, metadata: dict[str, str] | None = None
    ) -> RealtimeResponse:
        """Create the response for ``turn`` and announce its id, cancelling one in progress.

        Args:
            turn: Number of the turn.
            reply_options: Modality, voice and instructions.
            metadata: From the client's request.
        """
        if self.responding:
            self._close("cancelled", "turn_detected")
        self._reply = RealtimeResponse(
            turn=turn,
            outbox=self._outbox,
            playback=self.playback,
            items=self.items,
            spoken=reply_options.speak,
            voice=reply_options.voice,
            fmt=self.config.output_format,
            conversation=self._session,
            metadata=metadata,
            prompt_tokens=self._prompt_tokens(reply_options),
        )
        self._reply.create()
        self._replied[turn] = self._reply.id, self._reply.item_id
        while len(self._replied) > _REPLIES_KEPT:
            del self._replied[next(iter(self._replied))]
        return self._reply

    def cancel_reply(self) -> None:
        """Close the response as cancelled by the client, which works before any of it was sent."""
        self._close("cancelled", "client_cancelled")

    def hq_ready(self, ready: Ready) -> None:
        """Announce a reply's high-quality rendering; one from before this connection goes by its own id."""
        response, item = self._replied.get(ready.turn, (None, ready.utterance))
        place = {"turn": ready.turn, "response_id": response, "item_id": item}
        self.send({"type": "kuaimei.reply.hq_ready", **place, **ready_body(ready.utterance, ready.rendering)})

    def scored(self, scored: Scored) -> None:
        """Announce speech scores; an utterance that is no item of this connection goes by its own id."""
        item = None
        if scored.speaker == "assistant":
            item = self._replied.get(scored.turn, (None, None))[1]
        elif scored.understood:
            item = self._said.get(scored.turn)
        place = {"turn": scored.turn, "item_id": item or scored.utterance}
        self.send({"type": "kuaimei.analysis.scored", **place, **scored_body(scored)})

    def __call__(self, event: Event) -> None:
        """Translate and send one event."""
        match event:
            case SpeechAudio():
                pass
            case ReplyAudio():
                self._audio(event)
            case ReplyText(text=text):
                self._current(event.turn).write(text)
            case CaptionUpdated(text=text):
                item_id = self._user_item(event.turn)
                self.send({"type": "kuaimei.caption", "turn": event.turn, "item_id": item_id, "text": text})
            case StateChanged(state=state):
                self.send({"type": "kuaimei.state", "turn": event.turn, "state": state})
            case SpeechStarted():
                self._speech_started(event)
            case SpeechRejected():
                self._speech_dropped(event)
            case TurnEnded():
                self._turn_ended(event)
            case FinalTranscript():
                self._transcribed(event)
            case ReplyStarted():
                self._current(event.turn).begin()
            case ClauseReady():
                self._clause(event)
            case ReplyPaused() | ReplyResumed() | ReplyInterrupted():
                self._stopped(event)
            case ReplyFinished():
                self._finished(event)
            case TurnFailed():
                self._failed(event)
            case TurnMetrics():
                self._timed(event)
            case _:
                pass

    # user

    def _speech_started(self, event: SpeechStarted) -> None:
        self._started_ms[event.turn] = event.audio_ms
        if self.config.turn_detection is None:
            return  # the protocol sends none without voice activity detection
        item_id = self._user_item(event.turn)
        at = round(event.audio_ms)
        self.send({"type": "input_audio_buffer.speech_started", "item_id": item_id, "audio_start_ms": at})

    def _speech_dropped(self, event: SpeechRejected) -> None:
        started_ms = self._started_ms.pop(event.turn, None)
        item_id = self._user_items.pop(event.turn, None) or new_id("item")
        if self.config.turn_detection is not None and started_ms is not None:
            at = round(started_ms)
            self.send({"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": at})
        dropped = {"turn": event.turn, "item_id": item_id, "text": event.text}
        self.send({"type": "kuaimei.speech.dropped", **dropped})

    def _turn_ended(self, event: TurnEnded) -> None:
        self._unfinished = event.turn
        item_id = self._user_item(event.turn)
        if item_id in self.items:  # the speaker resumed: a further item of the same turn
            item_id = self._user_items[event.turn] = new_id("item")
        started_ms = self._started_ms.pop(event.turn, event.audio_ms)
        self._ended[event.turn] = max(0.0, event.audio_ms - started_ms) / 1000.0
        if self.config.turn_detection is not None:
            at = round(event.audio_ms)
            self.send({"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": at})
        if event.reason == "limit":
            limit_s = self.config.settings.dialogue.max_utterance_s
            told = {"turn": event.turn, "item_id": item_id, "limit_s": limit_s}
            self.send({"type": "kuaimei.utterance.limit", **told})
        self._said[event.turn] = item_id
        while len(self._said) > _REPLIES_KEPT:
            del self._said[next(iter(self._said))]
        item = user_audio_item(item_id)
        before = self.items.add(item, label=f"user_{event.turn}")
        committed = {"item_id": item_id, "previous_item_id": before}
        self.send({"type": "input_audio_buffer.committed", **committed})
        self.send({"type": "conversation.item.added", "previous_item_id": before, "item": item})
        self.send({"type": "conversation.item.done", "previous_item_id": before, "item": item})

    def _transcribed(self, event: FinalTranscript) -> None:
        item_id = self._user_item(event.turn)
        if item_id in self.items:
            self.items.get(item_id)["content"][0]["transcript"] = event.text
        if not self.config.transcription:
            return
        kind = "conversation.item.input_audio_transcription"
        here: dict[str, Any] = {"item_id": item_id, "content_index": 0}
        self.send({"type": f"{kind}.delta", **here, "delta": event.text})
        usage = {"type": "duration", "seconds": round(self._ended.get(event.turn, 0.0), 3)}
        self.send({"type": f"{kind}.completed", **here, "transcript": event.text, "usage": usage})

    # reply

    def _audio(self, event: ReplyAudio) -> None:
        reply = self._reply_of(event.turn)
        if reply is None:
            return
        reply.speak(event.pcm, event.rate, event.start_ms)
        self._complete(reply)

    def _clause(self, event: ClauseReady) -> None:
        reply = self._current(event.turn)
        self.send(
            {
                "type": "kuaimei.clause",
                "turn": event.turn,
                "response_id": reply.id,
                "item_id": reply.item_id,
                "index": event.index,
                "text": event.text,
                "start_ms": round(event.start_ms, 1),
                "synthesis_ms": round(event.synthesis_ms, 1),
            }
        )

    def _stopped(self, event: ReplyPaused | ReplyResumed | ReplyInterrupted) -> None:
        reply = self._reply_of(event.turn)
        if reply is None:
            return
        told: ServerEvent = {
            "turn": event.turn,
            "response_id": reply.id,
            "item_id": reply.item_id,
            "heard_ms": round(event.heard_ms, 1),
        }
        if isinstance(event, ReplyPaused):
            reply.hold(event.heard_ms)
            self.send({"type": "kuaimei.reply.held", **told})
        elif isinstance(event, ReplyResumed):
            reply.resume()
            self.send({"type": "kuaimei.reply.resumed", **told})
            self._complete(reply)
        else:
            reply.silence(event.heard_ms)
            words = {"heard_text": event.heard_text, "reason": event.reason}
            self.send({"type": "kuaimei.reply.interrupted", **told, **words})
            reason = "turn_detected" if event.reason == "barge_in" else "client_cancelled"
            self._close("cancelled", reason)
            self.items.truncate(reply.item_id, event.heard_text)

    def _finished(self, event: ReplyFinished) -> None:
        reply = self._current(event.turn)
        reply.finished_ms = event.audio_ms
        self._complete(reply)

    def _failed(self, event: TurnFailed) -> None:
        error = {"type": "server_error", "code": event.kind, "message": event.message}
        if event.stage in {"listening", "recognition"}:
            kind = "conversation.item.input_audio_transcription.failed"
            here = {"item_id": self._user_item(event.turn), "content_index": 0}
            self.send({"type": kind, **here, "error": error})
        else:
            self._current(event.turn).error = error
        told = {"turn": event.turn, "stage": event.stage, "kind": event.kind, "message": event.message}
        self.send({"type": "kuaimei.turn.failed", **told, "apology": event.apology})

    def _timed(self, event: TurnMetrics) -> None:
        timing = {
            name: round(value, 1 if name.endswith("_ms") else 3) if isinstance(value, float) else value
            for name, value in asdict(event.timing).items()
        }
        self.send({"type": "kuaimei.turn.timing", "turn": event.turn, **timing})
        self._user_items.pop(event.turn, None)
        self._ended.pop(event.turn, None)
        if self._unfinished == event.turn:
            self._unfinished = None
        reply = self._reply_of(event.turn)
        if reply is not None and reply.finished_ms is None:
            self._close("cancelled", "turn_detected")

    # bookkeeping

    def _user_item(self, turn: int) -> str:
        """Return the id of the user's item in ``turn``, the same from speech onset to transcript."""
        if turn not in self._user_items:
            self._user_items[turn] = new_id("item")
            for kept in (self._user_items, self._ended, self._started_ms):
                for old in [t for t in kept if t <= turn - _TURNS_KEPT]:  # abandoned turns
                    del kept[old]
        return self._user_items[turn]

    def _reply_of(self, turn: int) -> RealtimeResponse | None:
        return self._reply if self._reply is not None and self._reply.turn == turn else None

    def _current(self, turn: int) -> RealtimeResponse:
        return self._reply_of(turn) or self.open_reply(turn, self.config.reply_options())

    def _complete(self, reply: RealtimeResponse) -> None:
        if reply.complete:
            self._close("failed" if reply.error is not None else "completed")

    def _prompt_tokens(self, reply_options: ReplyOptions) -> int:
        dialogue = self.config.settings.dialogue
        prompt = estimate_tokens(reply_options.instructions or dialogue.system_prompt)
        return prompt + self.items.tokens(dialogue.history_tokens)

    def _close(self, ending: ResponseStatus, reason: str | None = None) -> None:
        if self._reply is not None:
            self._reply.close(ending, reason)
