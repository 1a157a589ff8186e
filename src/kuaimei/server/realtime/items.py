"""The items of a conversation, as its client sees them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from kuaimei.engines.llm.context_window import estimate_tokens
from kuaimei.engines.types import Message
from kuaimei.server.realtime.protocol import ProtocolError, new_id
from kuaimei.store.rows import UtteranceRow

__all__ = [
    "CONVERSATION_LIMIT",
    "REMEMBERED",
    "TEXT_LIMIT",
    "Item",
    "Items",
    "PriorHistory",
    "assistant_item",
    "message_of",
    "user_audio_item",
]

Item: TypeAlias = dict[str, Any]
Status = Literal["in_progress", "completed", "incomplete"]

TEXT_LIMIT = 20_000
"""Maximum characters of one text message."""
CONVERSATION_LIMIT = 64 * 1024
"""Maximum characters of all system and assistant messages that a client adds to a conversation."""
REMEMBERED = 1000
"""Items that can be retrieved or referenced; older ones are dropped. The conversation has its own history."""
_REMEMBERED_CHARACTERS = 512 * 1024
"""… and maximum characters of all of them."""


@dataclass(frozen=True, slots=True)
class PriorHistory:
    """History of a session that is continued.

    Attributes:
        messages: As the language model sees them.
        ids: Ids of the utterances.
        turns: Number of the latest turn.
    """

    messages: tuple[Message, ...] = ()
    ids: tuple[str, ...] = ()
    turns: int = 0

    @classmethod
    def of(cls, utterances: Sequence[UtteranceRow]) -> "PriorHistory":
        """Build from the latest utterances of a session, in order."""
        said = [one for one in utterances if one.words]
        return cls(
            tuple(Message(role=one.speaker, content=one.words) for one in said),
            tuple(one.id for one in said),
            max((one.turn for one in utterances), default=0),
        )


class Items:
    """Items in the order of the conversation."""

    def __init__(self) -> None:
        self._items: OrderedDict[str, Item] = OrderedDict()
        self._labels: dict[str, str] = {}
        self._given: dict[str, int] = {}

    @property
    def given_characters(self) -> int:
        """Characters of the system and assistant messages added by the client that are still here."""
        return sum(self._given.values())

    def register(self, earlier: PriorHistory) -> None:
        """Add the prior history under the ids of its utterances; it is not announced to the client."""
        for number, (item_id, message) in enumerate(zip(earlier.ids, earlier.messages, strict=True)):
            kind = "output_text" if message.role == "assistant" else "input_text"
            content = [{"type": kind, "text": message.content}]
            self._append(_message(item_id, message.role, content, "completed"), f"earlier_{number}")
        self._bound()

    @property
    def last_id(self) -> str | None:
        """Id of the latest item."""
        return next(reversed(self._items), None)

    def add(self, item: Item, *, label: str, given: bool = False) -> str | None:
        """Append an item; return the id of the item before it.

        Args:
            item: The item.
            label: Label of its message in the conversation's history.
            given: It is a system or assistant message added by the client.
        """
        before = self.last_id
        self._append(item, label)
        if given:
            self._given[item["id"]] = _characters(item)
        self._bound()
        return before

    def _append(self, item: Item, label: str) -> None:
        self._items[item["id"]] = item
        self._labels[item["id"]] = label

    def _bound(self) -> None:
        # Transcripts are filled in after an item was added, so characters are recounted.
        characters = sum(map(_characters, self._items.values()))
        while len(self._items) > REMEMBERED or (characters > _REMEMBERED_CHARACTERS and len(self._items) > 1):
            oldest = next(iter(self._items))
            characters -= _characters(self._items[oldest])
            self._forget(oldest)

    def remove(self, item_id: str) -> str:
        """Remove the item; return the label of its message.

        Raises:
            ProtocolError: If there is none of that id.
        """
        self.get(item_id)
        return self._forget(item_id)

    def get(self, item_id: str) -> Item:
        """Return the item.

        Raises:
            ProtocolError: If there is none of that id.
        """
        try:
            return self._items[item_id]
        except KeyError:
            raise ProtocolError(
                f"this conversation has no item {item_id[:80]!r}",
                code="item_not_found",
                param="item_id",
            ) from None

    def truncate(self, item_id: str, text: str) -> None:
        """Replace the text of the reply by ``text``, the part that was heard."""
        if item_id in self._items:
            for part in self._items[item_id]["content"]:
                part["text" if part["type"] == "output_text" else "transcript"] = text

    def tokens(self, limit: int) -> int:
        """Return the estimated length of the latest items, at most ``limit``."""
        total = 0
        for item in reversed(self._items.values()):
            for part in item["content"]:
                total += estimate_tokens(part.get("text") or part.get("transcript") or "")
            if total >= limit:
                return limit
        return total

    def _forget(self, item_id: str) -> str:
        del self._items[item_id]
        self._given.pop(item_id, None)
        return self._labels.pop(item_id)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items


def _characters(item: Item) -> int:
    return sum(len(part.get("text") or part.get("transcript") or "") for part in item["content"])


def user_audio_item(item_id: str) -> Item:
    """Return an item for the user's speech; its transcript follows."""
    content = [{"type": "input_audio", "transcript": None}]
    return _message(item_id, "user", content, "completed")


def assistant_item(item_id: str, status: Status, *, spoken: bool, text: str = "") -> Item:
    """Return an item for the reply, without content while it is in progress.

    Args:
        item_id: Id.
        status: Of the item.
        spoken: True: audio with a transcript; False: text.
        text: Text or transcript.
    """
    kind, key = ("output_audio", "transcript") if spoken else ("output_text", "text")
    content = [{"type": kind, key: text}] if status != "in_progress" else []
    return _message(item_id, "assistant", content, status)


def message_of(item: dict[str, Any], existing: Items) -> tuple[Item, Message]:
    """Complete a client's item; return it and the message it stands for.

    Raises:
        ProtocolError: If it is not a text message of a known role.
    """
    if item.get("type") != "message":
        raise ProtocolError(
            f"items of type {str(item.get('type'))[:40]!r} are not supported, only messages",
            code="unsupported",
            param="item.type",
        )
    role = item.get("role")
    if role not in ("user", "assistant", "system"):  # a tuple: it may be unhashable
        raise ProtocolError("the role must be user, assistant or system", param="item.role")
    item_id = item.get("id") or new_id("item")
    if not isinstance(item_id, str) or len(item_id) > 64:
        raise ProtocolError("an id must be a string of at most 64 characters", param="item.id")
    if item_id in existing:
        raise ProtocolError(f"there is already an item {item_id!r}", code="item_exists", param="item.id")
    content = item.get("content")
    if not isinstance(content, list) or not content:
        raise ProtocolError("a message needs a list of content parts", param="item.content")
    wanted = "output_text" if role == "assistant" else "input_text"
    texts: list[str] = []
    for index, part in enumerate(content):
        where = f"item.content.{index}"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "input_audio":
            raise ProtocolError(
                "audio is accepted through input_audio_buffer.append only", code="unsupported", param=where
            )
        text = part.get("text") if isinstance(part, dict) else None
        if kind not in (wanted, "text") or not isinstance(text, str):
            raise ProtocolError(f"a message with role {role} needs {wanted} content with a text", param=where)
        texts.append(text)
    text = "\n".join(texts)
    if len(text) > TEXT_LIMIT:
        raise ProtocolError(f"a message may have at most {TEXT_LIMIT} characters", param="item.content")
    if not text.strip():
        raise ProtocolError("the message is empty", param="item.content")
    made = _message(item_id, role, [{"type": wanted, "text": text}], "completed")
    return made, Message.model_validate({"role": role, "content": text})


def _message(item_id: str, role: str, content: list[dict[str, Any]], status: Status) -> Item:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "role": role,
        "status": status,
        "content": content,
    }
