"""Phrases of OpenCC's s2twp, so that a stream can tell which text may still become one.

OpenCC converts by longest match from the left, but its Python binding does not report where its
matches end. ``phrases.txt.xz`` lists its keys (three groups separated by empty lines: the phrases that
segment the text, the Taiwan phrases, the Taiwan variants); a unit test compares it with the
dictionaries of the installed OpenCC. ``kept.txt`` holds the server's exceptions.
"""

import lzma
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import opencc

__all__ = ["Phrasebook", "phrasebook"]


def _outcomes(keys: Iterable[str], converted: Iterable[str]) -> dict[str, str]:
    """Map every proper prefix of a key to the common prefix of the conversions of all keys with it."""
    agreed: dict[str, str] = {}
    for key, out in zip(keys, converted, strict=True):
        for end in range(1, len(key)):
            prefix = key[:end]
            known = agreed.get(prefix)
            if known is None:
                agreed[prefix] = out
            elif not out.startswith(known):
                size = 0
                for a, b in zip(known, out, strict=False):
                    if a != b:
                        break
                    size += 1
                agreed[prefix] = known[:size]
    return agreed


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """Phrase tables for longest match, and the conversion implied by incomplete phrases.

    Attributes:
        phrases: Keys that segment the text (Simplified, or common to both scripts), and ``kept``.
        kept: Words that bypass OpenCC → their conversion.
        exception: Pattern that finds any of ``kept``.
        promises: Proper prefix of a phrase → the common prefix of all possible conversions.
        taiwan: Keys of the second step, Traditional, in order of precedence.
        taiwan_prefixes: Proper prefixes of the keys in ``taiwan``.
        longest: Length of the longest key in characters.
    """

    phrases: frozenset[str]
    kept: Mapping[str, str]
    exception: re.Pattern[str]
    promises: Mapping[str, str]
    taiwan: tuple[frozenset[str], ...]
    taiwan_prefixes: frozenset[str]
    longest: int

    def phrase_at(self, text: str, start: int) -> int:
        """Return the end of the longest phrase that begins at ``start``; ``start`` if there is none."""
        for end in range(min(len(text), start + self.longest), start, -1):
            if text[start:end] in self.phrases:
                return end
        return start

    def taiwan_at(self, text: str) -> int:
        """Return the length of the Taiwan phrase at the start of ``text`` (Traditional); 0 if none."""
        for keys in self.taiwan:
            for end in range(min(len(text), self.longest), 0, -1):
                if text[:end] in keys:
                    return end
        return 0


def _kept() -> dict[str, str]:
    text = files("kuaimei.text").joinpath("data/kept.txt").read_text(encoding="utf-8")
    words = [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]
    simplified = opencc.OpenCC("tw2s").convert("\n".join(words)).split("\n")
    return {**dict(zip(simplified, words, strict=True)), **dict(zip(words, words, strict=True))}


@cache
def phrasebook() -> Phrasebook:
    """Return the phrases of s2twp and the exceptions; built once (about 0.2 s)."""
    packed = files("kuaimei.text").joinpath("data/phrases.txt.xz").read_bytes()
    groups = [block.split() for block in lzma.decompress(packed).decode().split("\n\n")]
    segmenting, *taiwan = groups
    kept = _kept()
    converted = opencc.OpenCC("s2twp").convert("\n".join(segmenting)).split("\n")
    outcomes = {**dict(zip(segmenting, converted, strict=True)), **kept}
    keys = [key for group in taiwan for key in group]
    return Phrasebook(
        phrases=frozenset(outcomes),
        kept=kept,
        exception=re.compile("|".join(map(re.escape, kept))),
        promises=_outcomes(outcomes.keys(), outcomes.values()),
        taiwan=tuple(frozenset(group) for group in taiwan),
        taiwan_prefixes=frozenset(key[:end] for key in keys for end in range(1, len(key))),
        longest=max(len(key) for key in (*outcomes, *keys)),
    )
