"""What was really said, on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kuaimei.engines.llm.context_window import cost, estimate_tokens, fit_context
from kuaimei.engines.types import Message

__all__ = ["ChatHistory", "HistoryEntry"]

Role: TypeAlias = Literal["system", "user", "assistant"]

_LEAST_SHARE = 4
"""Of the budget, what was said gets at least this part, however long the system prompt."""
_LINE_BREAK_TOKENS = 1
_MAX_ENTRIES = 400
"""Entries kept of an endless session; a prompt holds far fewer."""
_TRIM_BATCH = 100
"""Of these the oldest, all at once: where the first entry changes with every turn, so does the place where
the trimmed prompt begins, and the model's cache of it is lost."""
_MOST_CHARACTERS = 256 * 1024
"""… and characters; beyond that the oldest are forgotten, down to three quarters of it."""


@dataclass(slots=True, eq=False)
class HistoryEntry:
    """What one side said once; its place is fixed when it begins, its words when they are known.

    Attributes:
        label: By which it can be taken out again.
    """

    role: Role
    content: str = ""
    label: str = ""
    _counted: str | None = None
    _tokens: int = 0

    @property
    def tokens(self) -> int:
        """Estimated length of the content without spaces around it; counted once."""
        if self._counted is not self.content:
            self._counted, self._tokens = self.content, estimate_tokens(self.content.strip())
        return self._tokens


class ChatHistory:
    """The messages of a session, as the language model is to see them."""

    def __init__(self, earlier: Sequence[Message] = ()) -> None:
        entries = [HistoryEntry(m.role, m.content, f"earlier_{n}") for n, m in enumerate(earlier)]
        self._entries = entries[-_MAX_ENTRIES:]
        self._forget_characters()

    def add(self, role: Role, content: str = "", *, label: str = "") -> HistoryEntry:
        """Append an entry; its content may be filled in or corrected later."""
        entry = HistoryEntry(role, content, label)
        self._entries.append(entry)
        if len(self._entries) > _MAX_ENTRIES:
            del self._entries[:_TRIM_BATCH]
        self._forget_characters()
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
        return [message for message, _ in self._joined(said)]

    def request(self, system_prompt: str, budget_tokens: int, said: str = "") -> tuple[Message, ...]:
        """The prompt: system prompt, as much history as fits, and ``said`` by the user just now.

        The system prompt stays whole: whoever set it was told how much fits.
        """
        prompt = Message(role="system", content=system_prompt)
        joined = self._joined(said)
        available = max(budget_tokens - cost(prompt), budget_tokens // _LEAST_SHARE, 1)
        lengths = [tokens for _, tokens in joined]
        return (prompt, *fit_context([message for message, _ in joined], available, lengths))

    def _joined(self, said: str) -> list[tuple[Message, int]]:
        """The messages, each with its estimated length in tokens."""
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
        if characters <= _MOST_CHARACTERS:
            return
        forgotten = 0
        while characters > _MOST_CHARACTERS * 3 // 4 and forgotten < len(self._entries) - 1:
            characters -= len(self._entries[forgotten].content)
            forgotten += 1
        del self._entries[:forgotten]
