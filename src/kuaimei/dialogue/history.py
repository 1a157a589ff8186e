"""Chat history: what user and assistant actually said, and the prompts made from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kuaimei.engines.llm.context_window import cost, estimate_tokens, fit_context
from kuaimei.engines.types import Message

__all__ = ["ChatHistory", "HistoryEntry"]

Role: TypeAlias = Literal["system", "user", "assistant"]

_MIN_SHARE_DIVISOR = 4
"""The messages get at least 1/4 of the token budget, however long the system prompt is."""
_LINE_BREAK_TOKENS = 1
_MAX_ENTRIES = 400
"""Maximum entries kept of a long session; a prompt holds far fewer."""
_TRIM_BATCH = 100
"""Oldest entries dropped at once beyond `_MAX_ENTRIES`. Dropping one per turn would move the start of the
trimmed prompt with every turn, and the model's prompt cache would be lost."""
_MAX_CHARACTERS = 256 * 1024
"""Maximum characters kept; beyond that the oldest entries are dropped, down to three quarters of it."""


@dataclass(slots=True, eq=False)
class HistoryEntry:
    """One message of the history; its position is fixed when it is added, its content may follow later.

    Attributes:
        label: Identifies the entry for removal.
    """

    role: Role
    content: str = ""
    label: str = ""
    _counted: str | None = None
    _tokens: int = 0

    @property
    def tokens(self) -> int:
        """Estimated tokens of the stripped content; cached."""
        if self._counted is not self.content:
            self._counted, self._tokens = self.content, estimate_tokens(self.content.strip())
        return self._tokens


class ChatHistory:
    """Messages of a session, as the language model sees them."""

    def __init__(self, earlier: Sequence[Message] = ()) -> None:
        entries = [HistoryEntry(m.role, m.content, f"earlier_{n}") for n, m in enumerate(earlier)]
        self._entries = entries[-_MAX_ENTRIES:]
        self._forget_characters()

    def add(self, role: Role, content: str = "", *, label: str = "") -> HistoryEntry:
        """Append a `HistoryEntry` and return it; its content may be filled in or corrected later."""
        entry = HistoryEntry(role, content, label)
        self._entries.append(entry)
        if len(self._entries) > _MAX_ENTRIES:
            del self._entries[:_TRIM_BATCH]
        self._forget_characters()
        return entry

    def remove(self, label: str) -> bool:
        """Remove the entries with this label; return False if there are none."""
        found = [entry for entry in self._entries if entry.label == label]
        for entry in found:
            self._entries.remove(entry)
        return bool(found)

    def messages(self, said: str = "") -> list[Message]:
        """Return all messages so far, then ``said`` by the user just now; empty ones are left out.

        Consecutive messages of the same role are merged: an interrupted reply that was not heard at all
        is empty, so the user's next message joins the one that was not answered.
        """
        return [message for message, _ in self._joined(said)]

    def request(self, system_prompt: str, budget_tokens: int, said: str = "") -> tuple[Message, ...]:
        """Build the prompt: system prompt, as much history as fits, and ``said``.

        Args:
            system_prompt: Never shortened; its author has been told how much fits.
            budget_tokens: Estimated tokens for all messages together.
            said: What the user has said just now.
        """
        prompt = Message(role="system", content=system_prompt)
        joined = self._joined(said)
        available = max(budget_tokens - cost(prompt), budget_tokens // _MIN_SHARE_DIVISOR, 1)
        lengths = [tokens for _, tokens in joined]
        return (prompt, *fit_context([message for message, _ in joined], available, lengths))

    def _joined(self, said: str) -> list[tuple[Message, int]]:
        """Return the merged messages, each with its estimated length in tokens."""
        runs: list[tuple[Role, list[str], int]] = []
        for entry in (*self._entries, HistoryEntry("user", said)):
            content = entry.content.strip()
            if not content:
                continue
            if runs and runs[-1][0] == entry.role:
                role, parts, tokens = runs[-1]
                parts.append(content)
                runs[-1] = role, parts, tokens + _LINE_BREAK_TOKENS + entry.tokens
            else:
                runs.append((entry.role, [content], entry.tokens))
        return [(Message(role=role, content="\n".join(parts)), tokens) for role, parts, tokens in runs]

    def _forget_characters(self) -> None:
        characters = sum(len(entry.content) for entry in self._entries)
        if characters <= _MAX_CHARACTERS:
            return
        forgotten = 0
        while characters > _MAX_CHARACTERS * 3 // 4 and forgotten < len(self._entries) - 1:
            characters -= len(self._entries[forgotten].content)
            forgotten += 1
        del self._entries[:forgotten]
