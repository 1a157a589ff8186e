"""What was really said, on both sides."""

from collections.abc import Sequence

from kuaimei.engines.llm.history import trim
from kuaimei.engines.types import Message

__all__ = ["History"]


class History:
    """The messages of a session, as the language model is to see them."""

    def __init__(self, earlier: Sequence[Message] = ()) -> None:
        self._messages: list[Message] = [m for m in earlier if m.content.strip()]

    def add(self, role: str, content: str) -> None:
        """Append what somebody said; two messages in a row of the same speaker become one.

        An interrupted reply that nobody heard leaves no message, so the user's next words join the ones
        that were never answered.
        """
        content = content.strip()
        if not content:
            return
        if self._messages and self._messages[-1].role == role:
            content = f"{self._messages.pop().content}\n{content}"
        self._messages.append(Message.model_validate({"role": role, "content": content}))

    def remove_last(self) -> None:
        """Forget the latest message."""
        if self._messages:
            self._messages.pop()

    def request(self, system_prompt: str, budget_tokens: int, said: str = "") -> tuple[Message, ...]:
        """The prompt: system prompt, as much history as fits, and ``said`` by the user just now."""
        now = History(self._messages)
        now.add("user", said)
        return trim([Message(role="system", content=system_prompt), *now._messages], budget_tokens)
