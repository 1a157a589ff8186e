"""Files of Kokoro's folder except the networks: phoneme alphabet and voices."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import WeightsError

__all__ = ["LONGEST", "MARKS", "Tokenizer", "Voices", "load_alphabet", "load_voices", "style_of"]

LONGEST: Final = 508
"""Maximum phonemes of one piece: the network takes 512 with padding, a voice's table has 510 rows."""
MARKS: Final = frozenset(';:,.!?—…"()“” ')
"""Symbols that are not sounds."""
_STYLE: Final = 256
_PROSODY: Final = slice(128, 256)
"""Part of a style that controls prosody; the part before it controls timbre."""
_USUAL: Final = slice(20, 60)
"""Rows of a voice's table that represent it: usual sentences have this many phonemes."""
_PREFERRED: Final = (
    *("zf_xiaoyi", "zf_xiaoxiao", "zf_xiaobei", "zf_", "zm_"),
    *("af_heart", "af_", "am_", "bf_", "bm_"),
)
"""Prefixes of voice names, the best first; for Mandarin, ordered by recognition accuracy."""


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Mapping of phonemes to token ids; the padding has id 0.

    Attributes:
        numbers: Token id of each phoneme.
        marks: Token ids of symbols that are not sounds.
    """

    numbers: Mapping[str, int]
    marks: frozenset[int]

    def tokens(self, phonemes: str) -> tuple[int, ...]:
        """Return the token ids of ``phonemes``; unknown symbols are dropped, as in training."""
        return tuple(self.numbers[char] for char in phonemes if char in self.numbers)

    def pieces(self, tokens: tuple[int, ...], longest: int = LONGEST) -> Iterator[tuple[int, ...]]:
        """Split ``tokens`` into pieces of at most ``longest``, cut after a mark if possible."""
        while len(tokens) > longest:
            places = range(longest, longest // 2, -1)
            cut = next((at for at in places if tokens[at - 1] in self.marks), longest)
            yield tokens[:cut]
            tokens = tokens[cut:]
        if tokens:
            yield tokens


@dataclass(frozen=True, slots=True)
class _ClonedStyle:
    """Style of a voice added at run time.

    Attributes:
        table: Shape ``(n, 256)``, a style for each length; or one style, shape ``(1, 256)``.
        like: Table of the stock voice whose variation with length a single style adopts; else None.
    """

    table: NDArray[np.float32]
    like: NDArray[np.float32] | None

    def style(self, phonemes: int) -> NDArray[np.float32]:
        if self.like is None:
            return _row(self.table, phonemes)
        row: NDArray[np.float32] = self.table[0] + _row(self.like, phonemes) - style_of(self.like)
        return row


@dataclass(frozen=True, slots=True)
class Voices:
    """The available voices; immutable.

    Attributes:
        stock: Name to table, shape ``(510, 256)`` float32: the style for each length in phonemes.
        learned: Voices added at run time.
    """

    stock: Mapping[str, NDArray[np.float32]]
    learned: Mapping[str, _ClonedStyle] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all voices: the default first, those added at run time last."""
        return (*self.stock, *self.learned)

    def style(self, name: str, phonemes: int) -> NDArray[np.float32]:
        """Return the style for a text of ``phonemes`` phonemes, shape ``(1, 256)``."""
        learned = self.learned.get(name)
        row = _row(self.stock[name], phonemes) if learned is None else learned.style(phonemes)
        return row.reshape(1, -1)

    def with_voice(self, name: str, style: NDArray[np.float32]) -> "Voices":
        """Return a copy with a further voice, or with ``name`` in another style.

        Args:
            name: Name of the voice.
            style: Shape ``(256,)``: varies with the length of the text like the stock voice whose prosody is
                nearest. Or a table of its own, shape ``(n, 256)``.

        Raises:
            ValueError: If ``style`` has neither shape ``(256,)`` nor ``(n, 256)``, or is not finite.
        """
        table = np.array(style, np.float32).reshape(-1, style.shape[-1] if style.ndim else 1)
        if table.shape[1] != _STYLE or style.ndim > 2 or not len(table) or not np.isfinite(table).all():
            raise ValueError(
                f"a style must have {_STYLE} finite numbers in each row, not shape {style.shape}"
            )
        table.setflags(write=False)
        like = self._nearest(table[0]) if len(table) == 1 else None
        return Voices(self.stock, {**self.learned, name: _ClonedStyle(table, like)})

    def _nearest(self, style: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the table of the stock voice whose prosody is nearest to that of ``style``.

        A short exclamation is spoken differently from a long sentence, in nearly the same way by all voices
        of a language (those of Mandarin correlate above 0.9 with their mean); the prosody identifies the
        language.
        """
        tables = [table for table in self.stock.values() if len(table) >= _USUAL.stop]
        apart = [float(np.square(style_of(table) - style)[_PROSODY].sum()) for table in tables]
        return tables[int(np.argmin(apart))] if tables else None

    def without(self, name: str) -> "Voices":
        """Return a copy without ``name``, a voice added at run time."""
        return Voices(self.stock, {known: one for known, one in self.learned.items() if known != name})


def style_of(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one style for a voice's table, shape ``(510, 256)`` → ``(256,)``; a single style is kept."""
    if table.ndim == 1:
        return table.astype(np.float32)
    usual = table[_USUAL] if len(table) >= _USUAL.stop else table
    style: NDArray[np.float32] = usual.mean(axis=0).astype(np.float32)
    return style


def _row(table: NDArray[np.float32], phonemes: int) -> NDArray[np.float32]:
    """Return the row of ``table`` for a text of ``phonemes`` phonemes, shape ``(256,)``."""
    row: NDArray[np.float32] = table[min(max(phonemes - 1, 0), len(table) - 1)]
    return row


def load_alphabet(folder: Path) -> Tokenizer:
    """Read ``tokenizer.json``.

    Raises:
        WeightsError: If it is missing or has another format.
    """
    path = folder / "tokenizer.json"
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
        known = {str(symbol): int(number) for symbol, number in numbers.items() if number}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path} is not a tokenizer file of Kokoro; run: kuaimei models pull kokoro"
        ) from error
    return Tokenizer(known, frozenset(known[mark] for mark in MARKS if mark in known))


def load_voices(folder: Path) -> Voices:
    """Map the tables in ``folder``/voices into memory, the default voice first.

    Raises:
        WeightsError: If there are none, or one is damaged.
    """
    tables: dict[str, NDArray[np.float32]] = {}
    for path in sorted((folder / "voices").glob("*.bin"), key=_rank):
        size = path.stat().st_size
        if not size or size % (4 * _STYLE) or not np.isfinite(np.fromfile(path, dtype="<f4")).all():
            raise WeightsError(f"{path} is not a voice file of Kokoro; run: kuaimei models verify")
        mapped = np.memmap(path, dtype="<f4", mode="r", shape=(size // (4 * _STYLE), _STYLE))
        tables[path.stem] = np.asarray(mapped)  # a plain array whose pages are read on access
    if not tables:
        raise WeightsError(f"there are no voices in {folder / 'voices'}; run: kuaimei models pull kokoro")
    return Voices(tables)


def _rank(path: Path) -> tuple[int, str]:
    name = path.stem
    best = (place for place, beginning in enumerate(_PREFERRED) if name.startswith(beginning))
    return next(best, len(_PREFERRED)), name
