"""Generated files: write them, or check that they are up to date."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["ROOT", "between", "cell", "table", "write_or_check"]

ROOT = Path(__file__).resolve().parent.parent


def write_or_check(target: Path, text: str, module: str) -> None:
    """Write ``text`` to ``target``; with ``--check`` exit with status 1 if the file differs.

    Args:
        target: File to write.
        text: Its content.
        module: Module to run, for the error message.
    """
    if "--check" not in sys.argv:
        target.write_text(text, encoding="utf-8")
    elif not target.is_file() or target.read_text(encoding="utf-8") != text:
        sys.exit(f"{target.relative_to(ROOT)} is out of date: run `python -m {module}`")


def between(text: str, begin: str, inside: str, end: str, where: Path) -> str:
    """Return ``text`` with ``inside`` between two markers, everything else unchanged.

    Args:
        text: The document.
        begin: First marker.
        inside: New content.
        end: Second marker.
        where: Path of the document, for the error message.

    Raises:
        SystemExit: If the markers are not there, once and in order.
    """
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed or begin in rest or end in after:
        sys.exit(f"{where.relative_to(ROOT)} must contain one line {begin} and, below it, one line {end}")
    return f"{before}{begin}\n\n{inside}\n{end}{after}"


def cell(text: str) -> str:
    """Return ``text`` escaped for a table cell."""
    return " ".join(text.replace("|", r"\|").split())


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return [*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows), ""]
