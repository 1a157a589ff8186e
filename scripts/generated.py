"""A file that a script writes from the code: written, or checked to be true."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["ROOT", "between", "cell", "table", "write_or_check"]

ROOT = Path(__file__).resolve().parent.parent


def write_or_check(target: Path, text: str, module: str) -> None:
    """Write ``text`` to ``target``; with ``--check`` end with status 1 if it is not what is there."""
    if "--check" not in sys.argv:
        target.write_text(text, encoding="utf-8")
    elif not target.is_file() or target.read_text(encoding="utf-8") != text:
        sys.exit(f"{target.relative_to(ROOT)} is not true any more: run `python -m {module}`")


def between(text: str, begin: str, inside: str, end: str, where: Path) -> str:
    """``text`` with ``inside`` between two marks, everything else as it is.

    Raises:
        SystemExit: If the marks are not there, once and in order; ``where`` is named.
    """
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed or begin in rest or end in after:
        sys.exit(f"{where.relative_to(ROOT)} needs one line {begin} and, below it, one line {end}")
    return f"{before}{begin}\n\n{inside}\n{end}{after}"


def cell(text: str) -> str:
    """``text`` as it can stand in a table."""
    return " ".join(text.replace("|", r"\|").split())


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return [*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows), ""]
