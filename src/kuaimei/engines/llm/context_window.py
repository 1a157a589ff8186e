"""Fits the message history into the context window of a language model."""

import re
from collections.abc import Callable, Sequence
from heapq import heapify, heappop
from itertools import accumulate
from math import ceil

from kuaimei.engines.types import Message

__all__ = ["SPARE_TOKENS", "cost", "estimate_tokens", "fit_context"]

SPARE_TOKENS = 64
"""Tokens of the context reserved for errors in the estimated prompt length."""

_MESSAGE_TOKENS = 5
"""Tokens of the role and end marks that a chat template puts around a message."""

_STRIDES = 4
"""The start of the kept history moves by one of this many parts of the budget at a time."""

_ELLIPSIS = "…"
_ELLIPSIS_TOKENS = 2

_TOKEN_CHARACTERS = 6
"""Upper bound of a token's average length: text beyond it is known to be too long without counting."""

_SYSTEM_SHARE = (3, 4)
"""Share of the budget that leading system messages may take together: numerator, denominator."""
_SYSTEM_LEAST = 64
"""Tokens that they may take of any budget, however small."""

_WORD = re.compile(r"[A-Za-zÀ-ɏ]+")
_SPACES = re.compile(r"[ \t]+")
_HAN = re.compile(r"[\u3000-\u9fff\uf900-\ufaff\uff00-\uffef]+")
_COUNTED_IN_RUNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz \t"


def estimate_tokens(text: str) -> int:
    """Return the estimated tokens of ``text``, never far below what byte-pair vocabularies of this size need.

    A Han character or a digit counts as one token (Qwen needs 0.7 to 1 for Traditional Chinese), a word as
    one token per four letters, and any rarer character as two. A character takes about 20 ns, at worst 100:
    on the event loop, bound the text first.
    """
    words = [len(word) for word in _WORD.findall(text)]
    spaces = [len(run) for run in _SPACES.findall(text)]
    han = sum(map(len, _HAN.findall(text)))
    marks = len(text.encode("ascii", "ignore").translate(None, _COUNTED_IN_RUNS))
    rare = len(text) - sum(words) - sum(spaces) - han - marks
    long_spaces = sum(length > 1 for length in spaces)  # a single space belongs to the next word
    return sum((length + 3) // 4 for length in words) + long_spaces + han + marks + 2 * rare


def fit_context(
    messages: Sequence[Message], budget_tokens: int, lengths: Sequence[int] | None = None
) -> tuple[Message, ...]:
    """Return as much of ``messages`` as fits into ``budget_tokens`` (estimated).

    Args:
        messages: Oldest first.
        budget_tokens: For all of them, including the marks that a template puts around each.
        lengths: Result of `estimate_tokens` for each of ``messages``, if known already.

    The leading system messages and the latest user message always stay; whole turns (a user message
    and what follows it) are dropped, the oldest first. The start of the kept history moves in strides of a
    quarter of the budget rather than with every turn, so that most prompts extend the previous one and a
    prompt cache holds nearly all of them.

    Leading system messages that take more than three quarters of the budget are cut at their end, because
    the model's role is described at the beginning. If the latest message alone is too long, its beginning is
    cut, because its end is what needs an answer. Both cuts are marked by an ellipsis.
    """
    head = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    system, rest = _fitting(messages[:head], budget_tokens), list(messages[head:])
    if not rest:
        return system
    available = max(budget_tokens - sum(map(cost, system)), budget_tokens // _STRIDES, 1)
    rest = [_bounded(message, available * _TOKEN_CHARACTERS) for message in rest]
    counted = lengths[head:] if lengths is not None else [estimate_tokens(m.content) for m in rest]
    turns = _turns(rest)
    costs = iter(counted)
    ends = list(accumulate(sum(_MESSAGE_TOKENS + next(costs) for _ in turn) for turn in turns))
    excess = ends[-1] - available
    if excess <= 0:
        return (*system, *rest)
    stride = max(1, available // _STRIDES)
    to_drop = ceil(excess / stride) * stride
    dropped = next((i + 1 for i, end in enumerate(ends) if end >= to_drop), len(turns))
    kept = [m for turn in turns[min(dropped, len(turns) - 1) :] for m in turn]
    return (*system, *_shorten(kept, available))


def _fitting(system: Sequence[Message], budget_tokens: int) -> tuple[Message, ...]:
    """Return the leading system messages, cut at their ends if they leave too little for the conversation."""
    share, whole = _SYSTEM_SHARE
    available = max(budget_tokens * share // whole, _SYSTEM_LEAST)
    # The first one describes the model's role: the others share the remaining budget.
    bounded = [_begun(message, available * _TOKEN_CHARACTERS) for message in system]
    left = available
    kept: list[Message] = []
    for message in bounded:
        length = cost(message)
        if length > left:
            content = _first_tokens(message.content, max(0, left - _MESSAGE_TOKENS - _ELLIPSIS_TOKENS))
            if content == _ELLIPSIS:
                break
            message = message.model_copy(update={"content": content})
            length = cost(message)
        kept.append(message)
        left -= length
    return tuple(kept)


def _begun(message: Message, characters: int) -> Message:
    if len(message.content) <= characters:
        return message
    return message.model_copy(update={"content": message.content[:characters] + _ELLIPSIS})


def cost(message: Message) -> int:
    """Return the estimated tokens of ``message``, including the marks that a template puts around it."""
    return _MESSAGE_TOKENS + estimate_tokens(message.content)


def _bounded(message: Message, characters: int) -> Message:
    """Cut the beginning of a very long ``message``, so that counting its tokens does not block others."""
    if len(message.content) <= characters:
        return message
    return message.model_copy(update={"content": _ELLIPSIS + message.content[-characters:]})


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """Split into turns that each begin with a user's message; messages before the first form a turn, too."""
    turns: list[list[Message]] = []
    for message in messages:
        if message.role == "user" and not (turns and turns[-1][-1].role == "user"):
            turns.append([message])
        elif turns:
            turns[-1].append(message)
        else:
            turns.append([message])
    return turns


def _shorten(turn: list[Message], available: int) -> list[Message]:
    """Cut the longest messages of the last turn at their beginning until it fits."""
    shortened = list(turn)
    lengths = [estimate_tokens(message.content) for message in turn]
    excess = sum(lengths) + _MESSAGE_TOKENS * len(turn) - available
    longest_first = [(-length, index) for index, length in enumerate(lengths)]
    heapify(longest_first)
    while excess > 0 and longest_first:
        negative, index = heappop(longest_first)
        length = -negative
        if length <= _ELLIPSIS_TOKENS:
            break  # nothing is left to shorten
        cut = _last_tokens(turn[index].content, max(0, length - excess - _ELLIPSIS_TOKENS))
        shortened[index] = turn[index].model_copy(update={"content": cut})
        excess -= length - estimate_tokens(cut)
    return shortened


def _last_tokens(text: str, tokens: int) -> str:
    """Return an ellipsis and the longest end of ``text`` of at most ``tokens`` estimated tokens."""
    kept = _most(len(text), lambda characters: estimate_tokens(text[len(text) - characters :]) <= tokens)
    return _ELLIPSIS + text[len(text) - kept :].lstrip() if kept else _ELLIPSIS


def _first_tokens(text: str, tokens: int) -> str:
    """Return the longest beginning of ``text`` of at most ``tokens`` estimated tokens and an ellipsis."""
    kept = _most(len(text), lambda characters: estimate_tokens(text[:characters]) <= tokens)
    return text[:kept].rstrip() + _ELLIPSIS if kept else _ELLIPSIS


def _most(length: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number of characters up to ``length`` that fits; estimates grow with the number."""
    low, high = 0, length
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
