"""Segmentation of a token stream into clauses that can be spoken one by one.

The first clause is short, so that the reply starts early; the following ones are long enough to sound
natural. The concatenation of all clauses is exactly the text that was pushed.
"""

from dataclasses import dataclass
from typing import Final

from kuaimei.text.segments import Kind, TextSegment, scan
from kuaimei.text.word_boundaries import boundaries, preload

__all__ = [
    "FIRST",
    "FOLLOWING",
    "ClauseSegmenter",
    "ClauseSizes",
    "preload",
    "speech_length",
    "split_clauses",
]

_CHUNK: Final = 32
"""Characters processed at a time, so that the work stays proportional to the length of a text."""
_ENDLESS: Final = 400
"""Text without a clause end is cut anywhere after this many characters."""
_STRETCH: Final = 1.3
"""Factor by which a clause may exceed the limit to end at punctuation already in sight."""
_TRAILING: Final = frozenset({Kind.STRONG, Kind.WEAK, Kind.CLOSE, Kind.SPACE, Kind.SILENT})
"""Kinds that never begin a clause: they stay with the words before them."""


@dataclass(frozen=True, slots=True)
class ClauseSizes:
    """Sizes of a clause in spoken characters (a Latin word of up to 10 letters counts 1.2 or 1.9).

    Attributes:
        sentence: Minimum length of a clause that ends at the end of a sentence.
        pause: Minimum length of a clause that ends at a comma.
        word_min: Minimum length of a clause that ends at a word boundary without punctuation.
        word_max: Maximum length of such a clause, if there is a boundary in between.
        limit: Length from which a clause without punctuation is cut at the best word boundary.
        quoted: Quotes and brackets longer than this may be cut inside.
    """

    sentence: float
    pause: float
    word_min: float
    word_max: float
    limit: float
    quoted: float = 30


FIRST: Final = ClauseSizes(sentence=3, pause=3, word_min=4, word_max=8, limit=9.5)
FOLLOWING: Final = ClauseSizes(sentence=4, pause=8, word_min=9, word_max=17, limit=20)


def speech_length(text: str) -> float:
    """Return the length of ``text`` in spoken characters; 0 if it holds nothing to say."""
    return sum(atom.weight for atom in scan(text))


def split_clauses(text: str, first: ClauseSizes = FOLLOWING) -> list[str]:
    """Split a complete text into clauses; a short remainder is joined to the clause before it."""
    cutter = ClauseSegmenter(first=first)
    clauses = [*cutter.push(text), *cutter.flush()]
    if len(clauses) > 1 and speech_length(clauses[-1]) < FOLLOWING.sentence:
        clauses[-2:] = ["".join(clauses[-2:])]
    return clauses


class ClauseSegmenter:
    """Incremental segmentation of one reply, as its tokens arrive; not thread-safe.

    ``"".join`` of everything that `push` and `flush` return equals everything that was pushed. Every clause
    holds something to say, except for a last one of stray punctuation (`speech_length` is 0).

    Args:
        first: Sizes of the first clause.
        following: Sizes of all further clauses.
    """

    def __init__(self, first: ClauseSizes = FIRST, following: ClauseSizes = FOLLOWING) -> None:
        self._sizes = first
        self._following = following
        self._text = ""
        self._closing: list[str] = []
        """Closing marks of the quotes and brackets left open by the last cut (they were too long)."""

    def push(self, token: str) -> list[str]:
        """Return the clauses completed by ``token``: none, one, or several."""
        clauses = []
        for at in range(0, len(token), _CHUNK):
            self._text += token[at : at + _CHUNK]
            clauses += self._take(final=False)
        return clauses

    def flush(self) -> list[str]:
        """Return the rest of the text as clauses, if there is any."""
        clauses = self._take(final=True)
        if self._text:
            clauses.append(self._text)
            self._text = ""
        return clauses

    def _take(self, *, final: bool) -> list[str]:
        clauses = []
        while self._text and (end := _end(self._text, self._sizes, self._closing, final=final)):
            clause, self._text = self._text[:end], self._text[end:]
            for atom in scan(clause):
                _track(atom, self._closing)
            clauses.append(clause)
            self._sizes = self._following
        if len(self._text) > _ENDLESS and not final:
            clauses.append(self._text)
            self._text = ""
        return clauses


def _end(text: str, sizes: ClauseSizes, inside: list[str], *, final: bool) -> int:
    """Return where the first clause of ``text`` ends; 0 if it is undecided.

    Args:
        text: Text from the beginning of the clause.
        sizes: Sizes of the clause.
        inside: Closing marks of quotes and brackets already open at the beginning.
        final: True if no text will follow.
    """
    atoms = scan(text, final=final)
    length = 0.0
    quoted = sizes.quoted if inside else 0.0
    earlier = 0
    closing = list(inside)
    index = 0
    while index < len(atoms):
        atom = atoms[index]
        index += 1
        if atom.kind is Kind.UNDECIDED:
            break
        length += atom.weight
        _track(atom, closing)
        quoted = quoted + atom.weight if closing else 0.0
        if not _pauses(atoms, index - 1) or (closing and quoted <= sizes.quoted):
            continue
        strong = atom.kind is not Kind.WEAK
        while index < len(atoms) and atoms[index].kind in _TRAILING:
            _track(atoms[index], closing)
            strong = strong or atoms[index].kind is Kind.STRONG
            index += 1
        if index < len(atoms) and atoms[index].kind is Kind.UNDECIDED and not atoms[index].weight:
            break
        end = atoms[index - 1].end
        if length >= (sizes.sentence if strong else sizes.pause):
            if not closing and length > sizes.limit * _STRETCH:
                return earlier or _word_boundary(text, atoms, sizes) or end
            waits = not final and index == len(atoms) and (closing or _may_repeat(atoms[index - 1]))
            return 0 if waits else end
        if length >= sizes.word_min:
            earlier = end
    if length < sizes.limit or (final and length <= sizes.limit * _STRETCH):
        return 0
    return earlier or _word_boundary(text, atoms, sizes)


def _track(atom: TextSegment, closing: list[str]) -> None:
    """Update ``closing``, the closing marks of the open quotes and brackets."""
    if atom.kind is Kind.OPEN:
        closing.append(atom.closes)
    elif atom.kind is Kind.CLOSE and atom.text in closing:
        del closing[closing.index(atom.text) :]


def _pauses(atoms: list[TextSegment], index: int) -> bool:
    """Return whether the voice pauses after this segment: punctuation, or end of a quoted sentence."""
    atom = atoms[index]
    if atom.kind is Kind.CLOSE:
        return index > 0 and atoms[index - 1].kind is Kind.STRONG
    return atom.kind in (Kind.STRONG, Kind.WEAK)


def _may_repeat(atom: TextSegment) -> bool:
    """Return whether ``atom`` is often repeated, so that its clause waits for one more character."""
    return atom.text in "!?！？…—~～\n" or atom.kind is Kind.SPACE


def _word_boundary(text: str, atoms: list[TextSegment], sizes: ClauseSizes) -> int:
    """Return the best word boundary for a cut without punctuation; 0 if there is none yet."""
    best, best_score = 0, float("-inf")
    lengths: dict[int, float] = {}
    length = 0.0
    quoted = 0.0
    closing: list[str] = []
    for atom in atoms:
        if atom.kind is Kind.UNDECIDED:
            break
        _track(atom, closing)
        length += atom.weight
        quoted = quoted + atom.weight if closing else 0.0
        if not closing or quoted > sizes.quoted * 1.5:
            lengths[atom.end] = length
    for place, naturalness in boundaries(text, atoms):
        reached = lengths.get(place, 0.0)
        if reached < sizes.word_min or (reached > sizes.word_max and best):
            continue
        score = naturalness + min(reached, sizes.word_max) / sizes.word_max
        if score > best_score:
            best, best_score = place, score
    return best
