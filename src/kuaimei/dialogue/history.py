"""What was really said, on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kuaimei.engines.llm.history import trim
from kuaimei.engines.types import Message

__all__ = ["Entry", "History"]

_MOST = 400
"""Entries kept of an endless session; a prompt holds far fewer."""
_FORGOTTEN = 100
"""Of these the oldest, all at once: where the first entry changes with every turn, so does the place where
the trimmed prompt begins, and the model's cache of it is lost."""


@dataclass(slots=True, eq=False)
class Entry:
    """What one side said once; its place is fixed when it begins, its words when they are known.

    Attributes:
        label: By which it can be taken out again.
    """

    role: Literal["system", "user", "assistant"]
    content: str = ""
    label: str = ""


class History:
    """The messages of a session, as the language model is to see them."""

    def __init__(self, earlier: Sequence[Message] = ()) -> None:
        entries = [Entry(m.role, m.content, f"earlier_{n}") for n, m in enumerate(earlier)]
        self._entries = entries[-_MOST:]

    def add(
        self, role: Literal["system", "user", "assistant"], content: str = "", *, label: str = ""
    ) -> Entry:
        """Append an entry; its content may be filled in or corrected later."""
        entry = Entry(role, content, label)
        self._entries.append(entry)
        if len(self._entries) > _MOST:
            del self._entries[:_FORGOTTEN]
        return entry

    def remove(self, label: str) -> bool:
        """Take out what has this label; False if nothing has."""
        found = [entry for entry in self._entries if entry.label == label]
        for entry in found:
            self._entries.remove(entry)
        return bool(found)

    def messages(self, said: str = "") -> list[Message]:
        """Everything said so far and ``said`` by the user just now; what stayed empty is left out.

        Two messages in a row of the same speaker become one: an interrupted reply that nobody heard
        leaves nothing, so the user's next words join the ones that were never answered.
        """
        messages: list[Message] = []
        for entry in (*self._entries, Entry("user", said)):
            content = entry.content.strip()
            if not content:
                continue
            if messages and messages[-1].role == entry.role:
                content = f"{messages.pop().content}\n{content}"
            messages.append(Message(role=entry.role, content=content))
        return messages

    def request(self, system_prompt: str, budget_tokens: int, said: str = "") -> tuple[Message, ...]:
        """The prompt: system prompt, as much history as fits, and ``said`` by the user just now."""
        return trim([Message(role="system", content=system_prompt), *self.messages(said)], budget_tokens)
