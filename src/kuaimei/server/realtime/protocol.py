"""Client events of the OpenAI Realtime protocol: read, checked, or refused in one clear sentence.

Names and fields are those of ``openai.types.realtime``; fields that mean nothing here are ignored.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeAlias
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kuaimei.errors import KuaimeiError
from kuaimei.http.error_fields import mistake
from kuaimei.http.json_limits import MOST_MARKS, marks_in
from kuaimei.text.wellformed import is_well_formed, to_well_formed

__all__ = [
    "CLIENT_EVENTS",
    "AppendAudio",
    "CancelResponse",
    "ClearAudio",
    "ClearOutput",
    "ClientEvent",
    "CommitAudio",
    "CreateItem",
    "CreateResponse",
    "DeleteItem",
    "ProtocolError",
    "RetrieveItem",
    "ServerEvent",
    "TruncateItem",
    "UpdateSession",
    "describe_validation_error",
    "error_event",
    "new_id",
    "parse",
    "read_object",
]

ServerEvent: TypeAlias = dict[str, Any]
"""An event for the client, without its ``event_id`` (the outbox gives it one)."""


_EVENT_ID_LIMIT = 512
"""Characters."""
_PARAM_LIMIT = 200
"""Characters of the place in an event that is told to be wrong."""
_DEEPEST = 64
"""Levels; what clients send has six."""


class ProtocolError(KuaimeiError):
    """A client event that cannot be obeyed; the connection goes on.

    Args:
        message: One clear sentence.
        code: Short machine-readable label.
        param: The field at fault.
        type: In the words of the OpenAI dialect.
    """

    kind = "protocol"

    def __init__(
        self,
        message: str,
        *,
        code: str = "invalid_value",
        param: str | None = None,
        event_id: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002 (the protocol's own word)
    ) -> None:
        super().__init__(message)
        self.type = type
        self.code = code
        self.param = param
        self.event_id = event_id


class _Client(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    event_id: str | None = Field(default=None, max_length=_EVENT_ID_LIMIT)


class UpdateSession(_Client):
    """Change the session's configuration; only the fields given change."""

    type: Literal["session.update"]
    session: dict[str, Any]


class AppendAudio(_Client):
    """More audio, base64."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class CommitAudio(_Client):
    """End the utterance now."""

    type: Literal["input_audio_buffer.commit"]


class ClearAudio(_Client):
    """Forget the utterance."""

    type: Literal["input_audio_buffer.clear"]


class CreateItem(_Client):
    """Add a message to the conversation."""

    type: Literal["conversation.item.create"]
    item: dict[str, Any]
    previous_item_id: str | None = None


class RetrieveItem(_Client):
    """Tell what an item holds."""

    type: Literal["conversation.item.retrieve"]
    item_id: str


class DeleteItem(_Client):
    """Take a message out of the conversation."""

    type: Literal["conversation.item.delete"]
    item_id: str


class TruncateItem(_Client):
    """So much of the reply's audio was really played."""

    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int = 0
    audio_end_ms: int = Field(ge=0)


class CreateResponse(_Client):
    """Answer the conversation as it stands."""

    type: Literal["response.create"]
    response: dict[str, Any] = {}


class CancelResponse(_Client):
    """Stop the reply."""

    type: Literal["response.cancel"]
    response_id: str | None = None


class ClearOutput(_Client):
    """Stop the reply's audio."""

    type: Literal["output_audio_buffer.clear"]


ClientEvent: TypeAlias = (
    UpdateSession
    | AppendAudio
    | CommitAudio
    | ClearAudio
    | CreateItem
    | RetrieveItem
    | DeleteItem
    | TruncateItem
    | CreateResponse
    | CancelResponse
    | ClearOutput
)

_MODELS: dict[str, type[_Client]] = {
    "session.update": UpdateSession,
    "input_audio_buffer.append": AppendAudio,
    "input_audio_buffer.commit": CommitAudio,
    "input_audio_buffer.clear": ClearAudio,
    "conversation.item.create": CreateItem,
    "conversation.item.retrieve": RetrieveItem,
    "conversation.item.delete": DeleteItem,
    "conversation.item.truncate": TruncateItem,
    "response.create": CreateResponse,
    "response.cancel": CancelResponse,
    "output_audio_buffer.clear": ClearOutput,
}
CLIENT_EVENTS = frozenset(_MODELS)
"""Types of all events a client may send."""

_EVENT: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])


def parse(text: str) -> ClientEvent:
    """One client event from its JSON.

    Raises:
        ProtocolError: If it is no JSON object, of no known type, or lacks what its type needs; if it holds
            too many values, or text that is none.
    """
    data, event_id = read_object(text)
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in _MODELS:
        raise ProtocolError(
            f"no client event is called {str(kind)[:80]!r}",
            code="unknown_event",
            param="type",
            event_id=event_id,
        )
    try:
        return _EVENT.validate_python(data)
    except ValidationError as error:
        # The first place in the path is the union's own tag.
        param, message = describe_validation_error(error, data, skip=1)
        raise ProtocolError(message, param=param, event_id=event_id) from None


def read_object(text: str) -> tuple[dict[str, Any], str | None]:
    """A JSON object of a client's, and its ``event_id`` if it has one.

    Raises:
        ProtocolError: If it is none, holds too many values, or text that is none.
    """
    if (marks := marks_in(text)) > MOST_MARKS:
        raise ProtocolError(
            f"the event holds some {marks} values, and nothing here needs more than {MOST_MARKS}",
            code="event_too_large",
        )
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("the event is not valid JSON", code="invalid_json") from None
    if not isinstance(data, dict):
        raise ProtocolError("an event is a JSON object with a 'type'", code="invalid_json")
    given = data.get("event_id")
    event_id = to_well_formed(given)[:_EVENT_ID_LIMIT] if isinstance(given, str) else None
    _check(data, event_id)
    return data, event_id


def _check(data: dict[str, Any], event_id: str | None) -> None:
    """Refuse an event with text in it that is none, or that is nested beyond all measure.

    Raises:
        ProtocolError: Which names the place.
    """
    waiting: list[tuple[str, Any, int]] = [("", data, 0)]
    while waiting:
        where, value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ProtocolError(
                f"the event is nested deeper than {_DEEPEST} levels", code="invalid_json", event_id=event_id
            )
        parts: Iterable[tuple[object, Any]] = ()
        if isinstance(value, dict):
            parts = value.items()
        elif isinstance(value, list):
            parts = enumerate(value)
        for name, part in parts:
            inside = f"{where}.{name}" if where else str(name)
            if not is_well_formed(inside) or (isinstance(part, str) and not is_well_formed(part)):
                param = to_well_formed(inside)[:_PARAM_LIMIT]
                raise ProtocolError(
                    f"{param} holds NUL or half of a surrogate pair, which is no text",
                    code="invalid_text",
                    param=param,
                    event_id=event_id,
                )
            if isinstance(part, dict | list):
                waiting.append((inside[:_PARAM_LIMIT], part, depth + 1))


def describe_validation_error(
    error: ValidationError, body: object, prefix: str = "", skip: int = 0
) -> tuple[str, str]:
    """The field of ``body`` at fault and one sentence, of the first thing wrong."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path, wrong = mistake(first, body, skip=skip)
    param = ".".join([prefix, *path] if prefix else path)[:_PARAM_LIMIT]
    return param, f"{param}: {'is missing' if first['type'] == 'missing' else wrong}"


def error_event(error: KuaimeiError, event_id: str | None = None) -> ServerEvent:
    """The protocol's own form of a failure."""
    return {
        "type": "error",
        "error": {
            "type": error.type if isinstance(error, ProtocolError) else "server_error",
            "code": error.code if isinstance(error, ProtocolError) else error.kind,
            "message": to_well_formed(str(error)),
            "param": error.param if isinstance(error, ProtocolError) else None,
            "event_id": (error.event_id if isinstance(error, ProtocolError) else None) or event_id,
        },
    }


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``item_0f3c…``."""
    return f"{prefix}_{uuid4().hex[:20]}"
