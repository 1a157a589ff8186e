"""The items of a conversation as its client knows them."""

from collections import OrderedDict
from typing import Any, Literal, TypeAlias

from kuaimei.engines.llm.history import estimate_tokens
from kuaimei.engines.types import Message
from kuaimei.server.realtime.protocol import ProtocolError, new_id

__all__ = ["Item", "Items", "assistant_item", "message_of", "user_audio_item"]

Item: TypeAlias = dict[str, Any]
Status = Literal["in_progress", "completed", "incomplete"]

_REMEMBERED = 1000
"""Items that can be retrieved or named; older ones are forgotten, the history proper is kept elsewhere."""


class Items:
    """In the order of the conversation."""

    def __init__(self) -> None:
        self._items: OrderedDict[str, Item] = OrderedDict()

    @property
    def last_id(self) -> str | None:
        """Of the latest item."""
        return next(reversed(self._items), None)

    def add(self, item: Item) -> str | None:
        """Append; the id of the item before it."""
        before = self.last_id
        self._items[item["id"]] = item
        if len(self._items) > _REMEMBERED:
            self._items.popitem(last=False)
        return before

    def get(self, item_id: str) -> Item:
        """The item.

        Raises:
            ProtocolError: If there is none of that id.
        """
        try:
            return self._items[item_id]
        except KeyError:
            raise ProtocolError(
                f"no item of this conversation is called {item_id[:80]!r}",
                code="item_not_found",
                param="item_id",
            ) from None

    def shorten(self, item_id: str, text: str) -> None:
        """Only ``text`` of the reply was heard."""
        if item_id in self._items:
            for part in self._items[item_id]["content"]:
                part["text" if part["type"] == "output_text" else "transcript"] = text

    def tokens(self, limit: int) -> int:
        """Estimated length of the latest items, up to ``limit``."""
        total = 0
        for item in reversed(self._items.values()):
            for part in item["content"]:
                total += estimate_tokens(part.get("text") or part.get("transcript") or "")
            if total >= limit:
                return limit
        return total

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items


def user_audio_item(item_id: str) -> Item:
    """What the user said; the transcript follows."""
    content = [{"type": "input_audio", "transcript": None}]
    return _message(item_id, "user", content, "completed")


def assistant_item(item_id: str, status: Status, *, spoken: bool, text: str = "") -> Item:
    """The reply, without content while it is only beginning."""
    kind, key = ("output_audio", "transcript") if spoken else ("output_text", "text")
    content = [{"type": kind, key: text}] if status != "in_progress" else []
    return _message(item_id, "assistant", content, status)


def message_of(item: dict[str, Any], existing: Items) -> tuple[Item, Message]:
    """A client's item, completed, and the message it stands for.

    Raises:
        ProtocolError: If it is no text message of a known role.
    """
    if item.get("type") != "message":
        raise ProtocolError(
            f"items of type {str(item.get('type'))[:40]!r} are not supported: only messages",
            code="unsupported",
            param="item.type",
        )
    role = item.get("role")
    if role not in {"user", "assistant", "system"}:
        raise ProtocolError("the role is one of user, assistant, system", param="item.role")
    item_id = item.get("id") or new_id("item")
    if not isinstance(item_id, str) or len(item_id) > 64:
        raise ProtocolError("an id is a string of at most 64 characters", param="item.id")
    if item_id in existing:
        raise ProtocolError(f"an item is called {item_id!r} already", code="item_exists", param="item.id")
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
                "audio is taken through input_audio_buffer.append only", code="unsupported", param=where
            )
        text = part.get("text") if isinstance(part, dict) else None
        if kind not in {wanted, "text"} or not isinstance(text, str):
            raise ProtocolError(f"content of a {role} message is {wanted} with a text", param=where)
        texts.append(text)
    text = "\n".join(texts)
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
