"""One reply, expressed as the events of a response."""

from dataclasses import dataclass, field
from typing import Any, Literal

from kuaimei.audio.pcm import Pcm
from kuaimei.server.realtime.codecs import RATES, AudioFormat
from kuaimei.server.realtime.items import Items, assistant_item
from kuaimei.server.realtime.playback import Playback
from kuaimei.server.realtime.protocol import ServerEvent, new_id
from kuaimei.server.realtime.send_queue import SendQueue

__all__ = ["RealtimeResponse", "ResponseStatus"]

ResponseStatus = Literal["completed", "cancelled", "failed"]


@dataclass(slots=True, eq=False)
class RealtimeResponse:
    """A response in progress.

    Attributes:
        turn: Number of the turn.
        spoken: True: audio with a transcript; False: text.
        voice: Voice of the audio.
        fmt: Wire format of the audio.
        playback: Plays the audio.
        prompt_tokens: Estimated length of the prompt.
        audio_ms: Position in the reply at which the audio handed over so far ends.
        synthesized_ms: The furthest position reached so far.
        finished_ms: Length of the whole reply, once it is known.
        error: Why it failed, if it did.
    """

    turn: int
    outbox: SendQueue
    playback: Playback
    items: Items
    spoken: bool
    voice: str
    fmt: AudioFormat
    conversation: str
    metadata: dict[str, str] | None = None
    prompt_tokens: int = 0
    id: str = field(default_factory=lambda: new_id("resp"))
    item_id: str = field(default_factory=lambda: new_id("item"))
    text: str = ""
    tokens: int = 0
    audio_ms: float = 0.0
    synthesized_ms: float = 0.0
    finished_ms: float | None = None
    held: bool = False
    closed: bool = False
    error: dict[str, Any] | None = None
    _begun: bool = False

    def create(self) -> None:
        """Announce the response."""
        self._put({"type": "response.created", "response": self._response("in_progress", [])})

    def begin(self) -> None:
        """Announce the response's item; idempotent."""
        if self._begun:
            return
        self._begun = True
        item = assistant_item(self.item_id, "in_progress", spoken=self.spoken)
        self._put({"type": "response.output_item.added", **self._at(content=False), "item": item})
        before = self.items.add(item, label=f"reply_{self.turn}")
        self._put({"type": "conversation.item.added", "previous_item_id": before, "item": item})
        part = self._part("")
        self._put(
            {"type": "response.content_part.added", **self._at(), "item_id": self.item_id, "part": part}
        )

    def write(self, text: str) -> None:
        """Append text."""
        self.text += text
        self.tokens += 1
        kind = "output_audio_transcript" if self.spoken else "output_text"
        self._put({"type": f"response.{kind}.delta", **self._at(), "item_id": self.item_id, "delta": text})

    def speak(self, pcm: Pcm, rate: int, start_ms: float) -> None:
        """Append audio that starts at ``start_ms`` of the reply.

        Args:
            pcm: int16 samples.
            rate: Sample rate in Hz.
            start_ms: Position in the reply.
        """
        self.audio_ms = start_ms + len(pcm) * 1000.0 / rate
        self.synthesized_ms = max(self.synthesized_ms, self.audio_ms)
        self.playback.play(self, pcm, rate, start_ms)
        if self.complete:
            self.playback.finish(self)

    def hold(self, heard_ms: float) -> None:
        """Pause: stop the audio at once."""
        self.held = True
        self.silence(heard_ms)

    def resume(self) -> None:
        """Continue after `hold`."""
        self.held = False

    def silence(self, heard_ms: float) -> None:
        """Discard audio that was not sent yet."""
        self.playback.silence(self)
        self.audio_ms = min(self.audio_ms, heard_ms)

    @property
    def complete(self) -> bool:
        """True once all text was written and all of its audio handed over."""
        return self.finished_ms is not None and not self.held and self.audio_ms >= self.finished_ms - 1.0

    def close(self, ending: ResponseStatus, reason: str | None = None) -> None:
        """Send the events that end a response.

        Args:
            ending: How it ended.
            reason: Of a cancellation, in the protocol's terms.
        """
        if self.closed:
            return
        self.closed = True
        if ending != "cancelled":
            self.playback.finish(self)
        output = []
        if self._begun:
            status: Literal["completed", "incomplete"] = (
                "completed" if ending == "completed" else "incomplete"
            )
            item = assistant_item(self.item_id, status, spoken=self.spoken, text=self.text)
            if self.item_id in self.items:  # the client may have deleted it
                self.items.get(self.item_id).update(item)
            output.append(item)
            here = {**self._at(), "item_id": self.item_id}
            if self.spoken:
                self._put({"type": "response.output_audio.done", **here})
                self._put({"type": "response.output_audio_transcript.done", **here, "transcript": self.text})
            else:
                self._put({"type": "response.output_text.done", **here, "text": self.text})
            self._put({"type": "response.content_part.done", **here, "part": self._part(self.text)})
            self._put({"type": "response.output_item.done", **self._at(content=False), "item": item})
            self._put({"type": "conversation.item.done", "item": item})
        response = self._response(ending, output)
        if ending != "completed":
            details: dict[str, Any] = {"type": ending}
            if reason is not None:
                details["reason"] = reason
            if self.error is not None:
                details["error"] = self.error
            response["status_details"] = details
        response["usage"] = self._usage()
        self._put({"type": "response.done", "response": response})

    def _put(self, event: ServerEvent) -> None:
        self.outbox.put(event)

    def _at(self, *, content: bool = True) -> dict[str, Any]:
        place: dict[str, Any] = {"response_id": self.id, "output_index": 0}
        return {**place, "content_index": 0} if content else place

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "audio", "transcript": text} if self.spoken else {"type": "text", "text": text}

    def _response(self, status: str, output: list[Any]) -> dict[str, Any]:
        response: dict[str, Any] = {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": None,
            "conversation_id": self.conversation,
            "output": output,
            "output_modalities": ["audio" if self.spoken else "text"],
            "metadata": self.metadata,
            "usage": None,
        }
        if self.spoken:
            fmt = (
                {"type": self.fmt, "rate": RATES[self.fmt]} if self.fmt == "audio/pcm" else {"type": self.fmt}
            )
            response["audio"] = {"output": {"format": fmt, "voice": self.voice}}
        return response

    def _usage(self) -> dict[str, Any]:
        """Return token counts: chunks of text from the model; the prompt's length is an estimate."""
        return {
            "total_tokens": self.prompt_tokens + self.tokens,
            "input_tokens": self.prompt_tokens,
            "output_tokens": self.tokens,
            "input_token_details": {"text_tokens": self.prompt_tokens, "audio_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": self.tokens, "audio_tokens": 0},
        }
