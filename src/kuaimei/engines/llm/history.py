"""Keeping the history within the context of a language model."""

import re
from collections.abc import Sequence
from itertools import accumulate
from math import ceil

from kuaimei.engines.types import Message

__all__ = ["estimate_tokens", "trim"]

_MESSAGE_TOKENS = 5
"""Role and end marks that a chat template puts around a message."""

_STRIDES = 4
"""The place where history begins moves by this part of the budget at a time."""

_ELLIPSIS = "…"
_ELLIPSIS_TOKENS = 2

_TOKEN_CHARACTERS = 6
"""More than a token ever has on average: a longer text need not be counted to know that it is too long."""

_UNITS = re.compile(
    r"(?P<word>[A-Za-zÀ-ɏ]+)|(?P<space>[ \t]+)|(?P<han>[\u3000-\u9fff\uf900-\ufaff\uff00-\uffef])"
    r"|(?P<ascii>[\x00-\x7f])|(?P<other>.)",
    re.DOTALL,
)


def estimate_tokens(text: str) -> int:
    """Tokens of ``text``, never far below what byte-pair vocabularies of this size need.

    A Han character or a digit is taken for one token (Qwen needs 0.7 to 1 for Traditional Chinese), a
    word of letters for one for every four of them, anything rarer for two a character.
    """
    total = 0.0
    for match in _UNITS.finditer(text):
        if match["word"]:
            total += ceil(len(match["word"]) / 4)
        elif match["space"]:
            total += 0.0 if len(match["space"]) == 1 else 1.0  # a single space belongs to the next word
        else:
            total += 2.0 if match["other"] else 1.0
    return ceil(total)


def trim(messages: Sequence[Message], budget_tokens: int) -> tuple[Message, ...]:
    """As much of ``messages`` as fits into ``budget_tokens`` (estimated).

    The leading system messages and the latest user message always stay; whole turns (a user message
    and what follows it) go, the oldest first. The place where the kept history begins moves in strides
    of a quarter of the budget rather than with every turn, so that most prompts are the last one plus
    something at its end and a prompt cache holds nearly all of them.

    A latest message that alone is too long loses its beginning, marked by an ellipsis: what was said
    last is what is to be answered.
    """
    head = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    system, rest = tuple(messages[:head]), list(messages[head:])
    if not rest:
        return system
    room = max(budget_tokens - sum(map(_cost, system)), budget_tokens // _STRIDES, 1)
    rest = [_bounded(message, room * _TOKEN_CHARACTERS) for message in rest]
    turns = _turns(rest)
    ends = list(accumulate(sum(map(_cost, turn)) for turn in turns))
    excess = ends[-1] - room
    if excess <= 0:
        return (*system, *rest)
    stride = max(1, room // _STRIDES)
    to_drop = ceil(excess / stride) * stride
    dropped = next((i + 1 for i, end in enumerate(ends) if end >= to_drop), len(turns))
    kept = [m for turn in turns[min(dropped, len(turns) - 1) :] for m in turn]
    return (*system, *_shorten(kept, room))


def _cost(message: Message) -> int:
    return _MESSAGE_TOKENS + estimate_tokens(message.content)


def _bounded(message: Message, characters: int) -> Message:
    """A pasted book must not hold up everybody else while its tokens are counted."""
    if len(message.content) <= characters:
        return message
    return message.model_copy(update={"content": _ELLIPSIS + message.content[-characters:]})


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """Runs of messages that each begin with a user's; what comes before the first is a run too."""
    turns: list[list[Message]] = []
    for message in messages:
        if message.role == "user" and not (turns and turns[-1][-1].role == "user"):
            turns.append([message])
        elif turns:
            turns[-1].append(message)
        else:
            turns.append([message])
    return turns


def _shorten(turn: list[Message], room: int) -> list[Message]:
    """Cut the longest messages of the last turn at their beginning until it fits."""
    shortened = list(turn)
    while (excess := sum(map(_cost, shortened)) - room) > 0:
        longest = max(range(len(shortened)), key=lambda i: estimate_tokens(shortened[i].content))
        content = shortened[longest].content
        length = estimate_tokens(content)
        if length <= _ELLIPSIS_TOKENS:
            break  # nothing is left to shorten
        cut = _last_tokens(content, max(0, length - excess - _ELLIPSIS_TOKENS))
        shortened[longest] = shortened[longest].model_copy(update={"content": cut})
    return shortened


def _last_tokens(text: str, tokens: int) -> str:
    """The longest end of ``text`` of at most ``tokens`` estimated tokens, after an ellipsis."""
    low, high = 0, len(text)  # characters kept; estimate_tokens grows with them
    while low < high:
        middle = (low + high + 1) // 2
        if estimate_tokens(text[len(text) - middle :]) <= tokens:
            low = middle
        else:
            high = middle - 1
    return _ELLIPSIS + text[len(text) - low :].lstrip() if low else _ELLIPSIS
