"""Client events of the OpenAI Realtime protocol: parsing, validation and error messages.

Names and fields are those of ``openai.types.realtime``; fields that have no function here are ignored.
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
"""An event for the client, without its ``event_id`` (the send queue adds it)."""


_EVENT_ID_LIMIT = 512
"""Maximum characters of an event id."""
_PARAM_LIMIT = 200
"""Maximum characters of the path to an invalid field in an error."""
_DEEPEST = 64
"""Maximum levels of nesting; valid events have six."""


class ProtocolError(KuaimeiError):
    """A client event that cannot be processed; the connection continues.

    Args:
        message: One clear sentence.
        code: Short machine-readable label.
        param: The field at fault.
        event_id: Of the client event.
        type: Error type of the OpenAI API.
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
    """Append audio, as base64."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class CommitAudio(_Client):
    """End the current utterance."""

    type: Literal["input_audio_buffer.commit"]


class ClearAudio(_Client):
    """Discard the current utterance."""

    type: Literal["input_audio_buffer.clear"]


class CreateItem(_Client):
    """Add a message to the conversation."""

    type: Literal["conversation.item.create"]
    item: dict[str, Any]
    previous_item_id: str | None = None


class RetrieveItem(_Client):
    """Return the content of an item."""

    type: Literal["conversation.item.retrieve"]
    item_id: str


class DeleteItem(_Client):
    """Remove a message from the conversation."""

    type: Literal["conversation.item.delete"]
    item_id: str


class TruncateItem(_Client):
    """Report how much of the reply's audio was played."""

    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int = 0
    audio_end_ms: int = Field(ge=0)


class CreateResponse(_Client):
    """Generate a reply to the conversation so far."""

    type: Literal["response.create"]
    response: dict[str, Any] = {}


class CancelResponse(_Client):
    """Cancel the reply."""

    type: Literal["response.cancel"]
    response_id: str | None = None


class ClearOutput(_Client):
    """Stop the reply and its audio."""

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
"""Types of all events that a client may send."""

_EVENT: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])


def parse(text: str) -> ClientEvent:
    """Parse and validate one client event.

    Raises:
        ProtocolError: If it is not a JSON object, of an unknown type, lacks a required field, or has too many
            values or text that is not well-formed.
    """
    data, event_id = read_object(text)
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in _MODELS:
        raise ProtocolError(
            f"unknown client event {str(kind)[:80]!r}",
            code="unknown_event",
            param="type",
            event_id=event_id,
        )
    try:
        return _EVENT.validate_python(data)
    except ValidationError as error:
        # The first element of the path is the union's tag.
        param, message = describe_validation_error(error, data, skip=1)
        raise ProtocolError(message, param=param, event_id=event_id) from None


def read_object(text: str) -> tuple[dict[str, Any], str | None]:
    """Return a client's JSON object, and its ``event_id`` if it has one.

    Raises:
        ProtocolError: If it is not an object, has too many values or text that is not well-formed.
    """
    if (marks := marks_in(text)) > MOST_MARKS:
        raise ProtocolError(
            f"the event contains about {marks} values; the limit is {MOST_MARKS}",
            code="event_too_large",
        )
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("the event is not valid JSON", code="invalid_json") from None
    if not isinstance(data, dict):
        raise ProtocolError("an event must be a JSON object with a 'type'", code="invalid_json")
    given = data.get("event_id")
    event_id = to_well_formed(given)[:_EVENT_ID_LIMIT] if isinstance(given, str) else None
    _check(data, event_id)
    return data, event_id


def _check(data: dict[str, Any], event_id: str | None) -> None:
    """Reject an event with text that is not well-formed, or that is nested too deeply.

    Raises:
        ProtocolError: Names the field.
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
                    f"{param} contains NUL or a lone surrogate",
                    code="invalid_text",
                    param=param,
                    event_id=event_id,
                )
            if isinstance(part, dict | list):
                waiting.append((inside[:_PARAM_LIMIT], part, depth + 1))


def describe_validation_error(
    error: ValidationError, body: object, prefix: str = "", skip: int = 0
) -> tuple[str, str]:
    """Return the path of the first invalid field and a sentence about it.

    Args:
        error: From pydantic.
        body: What was validated.
        prefix: Prepended to the path.
        skip: Number of leading parts of the path that are not the client's.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path, wrong = mistake(first, body, skip=skip)
    param = ".".join([prefix, *path] if prefix else path)[:_PARAM_LIMIT]
    return param, f"{param} is missing" if first["type"] == "missing" else f"{param}: {wrong}"


def error_event(error: KuaimeiError, event_id: str | None = None) -> ServerEvent:
    """Return the error event for ``error``."""
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
    """Return a new identifier such as ``item_0f3c…``."""
    return f"{prefix}_{uuid4().hex[:20]}"
