"""Execution of client events."""

import asyncio
import base64
import binascii

from kuaimei.dialogue.conversation import Conversation
from kuaimei.server.realtime.codecs import InputDecoder
from kuaimei.server.realtime.config import SessionConfig
from kuaimei.server.realtime.items import CONVERSATION_LIMIT, message_of
from kuaimei.server.realtime.protocol import (
    AppendAudio,
    CancelResponse,
    ClearAudio,
    ClearOutput,
    ClientEvent,
    CommitAudio,
    CreateItem,
    CreateResponse,
    DeleteItem,
    ProtocolError,
    RetrieveItem,
    TruncateItem,
    UpdateSession,
)
from kuaimei.server.realtime.rate_limits import AudioRateLimiter, TokenBucket
from kuaimei.server.realtime.server_events import ServerEventEmitter

__all__ = ["ClientEventHandler"]

_SLICE_S = 0.1
"""Seconds of audio processed at a time; between slices other tasks run on the event loop."""
_ROUNDING_MS = 100
"""Tolerance for a client that reports more audio played than it was sent."""


class ClientEventHandler:
    """Executes the events of one client.

    Args:
        session: Id of the session.
        conversation: The client's conversation.
        gateway: Sends the results to the client.
    """

    def __init__(self, session: str, conversation: Conversation, gateway: ServerEventEmitter) -> None:
        self._session = session
        self._conversation = conversation
        self._gateway = gateway
        self._wire = InputDecoder(gateway.config.input_format)
        self._pace = AudioRateLimiter()
        self._allowance = TokenBucket(gateway.config.settings.server.requests_per_minute)

    def apply(self, config: SessionConfig) -> None:
        """Apply ``config`` to the conversation."""
        self._conversation.reply_options = config.reply_options()
        self._conversation.settings = config.dialogue()
        self._conversation.endpointing = config.turn_detection is not None

    async def handle(self, event: ClientEvent) -> None:
        """Execute ``event``.

        Raises:
            ProtocolError: If it cannot be executed; nothing has changed then.
        """
        match event:
            case AppendAudio():
                await self._append(event)
            case CommitAudio():
                self._commit()
            case ClearAudio():
                self._wire.flush()
                self._conversation.clear()
                self._gateway.send({"type": "input_audio_buffer.cleared"})
            case UpdateSession():
                self._update(event)
            case CreateItem():
                self._create_item(event)
            case RetrieveItem(item_id=item_id):
                item = self._gateway.items.get(item_id)
                self._gateway.send({"type": "conversation.item.retrieved", "item": item})
            case DeleteItem(item_id=item_id):
                self._delete_item(item_id)
            case TruncateItem():
                self._truncate(event)
            case CreateResponse():
                self._create_response(event)
            case CancelResponse():
                self._cancel(event)
            case ClearOutput():
                self._clear_output()

    async def _append(self, event: AppendAudio) -> None:
        try:
            data = base64.b64decode(event.audio, validate=True)
        except (binascii.Error, ValueError):
            raise ProtocolError(
                "the audio is not valid base64", code="invalid_audio", param="audio"
            ) from None
        try:
            pcm = self._wire.push(data)
        except ValueError:
            raise ProtocolError(
                f"the audio has {len(data)} bytes; 16-bit samples need an even number of bytes",
                code="invalid_audio",
                param="audio",
            ) from None
        size = int(16_000 * _SLICE_S)
        for start in range(0, len(pcm), size):
            self._conversation.push_audio(pcm[start : start + size])
            await asyncio.sleep(0)
        await self._pace.acquire(len(pcm) / 16_000)

    def _commit(self) -> None:
        self._conversation.push_audio(self._wire.flush())
        if not self._conversation.commit():
            raise ProtocolError(
                "there is no speech to commit: send audio first", code="input_audio_buffer_commit_empty"
            )

    def _update(self, event: UpdateSession) -> None:
        self.follow(self._gateway.config.update(event.session))

    def follow(self, config: SessionConfig) -> None:
        """Replace the session's configuration by ``config`` and tell the client."""
        before = self._gateway.config
        self._gateway.config = config
        self.apply(config)
        if config.input_format != before.input_format:
            self._wire = InputDecoder(config.input_format)
        self._gateway.send({"type": "session.updated", "session": config.describe(self._session)})

    def _create_item(self, event: CreateItem) -> None:
        items = self._gateway.items
        item, message = message_of(event.item, items)
        after = event.previous_item_id
        at_end = after is None or after == items.last_id or (after == "root" and items.last_id is None)
        if not at_end:
            raise ProtocolError(
                "items can only be added at the end", code="unsupported", param="previous_item_id"
            )
        given = message.role != "user"
        if given and items.given_characters + len(message.content) > CONVERSATION_LIMIT:
            raise ProtocolError(
                f"the messages added to this conversation exceed {CONVERSATION_LIMIT} characters in total: "
                "delete some of them first",
                code="conversation_too_large",
                param="item.content",
            )
        self._check_rate()
        if not given:
            label = f"user_{self._conversation.send_text(message.content, reply=False)}"
        else:
            label = item["id"]
            self._conversation.add_message(message, label=label)
        before = items.add(item, label=label, given=given)
        self._gateway.send({"type": "conversation.item.added", "previous_item_id": before, "item": item})
        self._gateway.send({"type": "conversation.item.done", "previous_item_id": before, "item": item})

    def _delete_item(self, item_id: str) -> None:
        self._conversation.remove_message(self._gateway.items.remove(item_id))
        self._gateway.send({"type": "conversation.item.deleted", "item_id": item_id})

    def _truncate(self, event: TruncateItem) -> None:
        item = self._gateway.items.get(event.item_id)
        reply = self._gateway.reply
        if item["role"] != "assistant" or reply is None or reply.item_id != event.item_id:
            raise ProtocolError("only the latest reply can be truncated", param="item_id")
        if event.audio_end_ms > reply.synthesized_ms + _ROUNDING_MS:
            raise ProtocolError(
                f"the reply has only {reply.synthesized_ms:.0f} ms of audio, not {event.audio_end_ms}",
                param="audio_end_ms",
            )
        self._conversation.report_playback(float(event.audio_end_ms))
        self._gateway.send(
            {
                "type": "conversation.item.truncated",
                "item_id": event.item_id,
                "content_index": event.content_index,
                "audio_end_ms": event.audio_end_ms,
            }
        )

    def _create_response(self, event: CreateResponse) -> None:
        reply_options, metadata = self._gateway.config.for_response(event.response)
        answering = self._gateway.unfinished_turn is not None and self._conversation.reply_options.reply
        if self._gateway.responding or answering:
            raise ProtocolError(
                "a response is in progress: wait for response.done or send response.cancel first",
                code="conversation_already_has_active_response",
            )
        self._check_rate()
        # The conversation first transcribes what was committed just before.
        turn = self._conversation.generate_reply(reply_options)
        self._gateway.open_reply(turn, reply_options, metadata)

    def _cancel(self, event: CancelResponse) -> None:
        reply = self._gateway.reply
        if event.response_id is not None and (reply is None or reply.id != event.response_id):
            raise ProtocolError("no such response is in progress", code="response_cancel_not_active")
        busy = self._gateway.responding or self._conversation.state != "listening"
        if not busy:
            raise ProtocolError("no response is in progress", code="response_cancel_not_active")
        self._conversation.cancel_reply()
        self._gateway.cancel_reply()  # in case none of it was sent yet

    def _clear_output(self) -> None:
        reply = self._gateway.reply
        self._conversation.cancel_reply()
        self._gateway.cancel_reply()
        if reply is not None:
            self._gateway.playback.on_cleared(reply)

    def _check_rate(self) -> None:
        wait_s = self._allowance.ask()
        if wait_s:
            raise ProtocolError(
                f"too many requests in this session: try again in {wait_s:.0f} s",
                code="rate_limit_exceeded",
                type="rate_limit_error",
            )
