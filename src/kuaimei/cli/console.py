"""Helpers shared by all commands: settings from options, notes to stderr, results to stdout."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from kuaimei.settings import Settings

__all__ = ["note", "print_json", "print_list", "print_table", "settings_from"]

_err = Console(stderr=True, highlight=False)
_out = Console(highlight=False)


def note(line: str) -> None:
    """Print a line for the user to stderr; results go to stdout."""
    _err.print(line, markup=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print a result as JSON to stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def print_table(columns: list[str], rows: list[list[object]], *, title: str = "") -> None:
    """Print a result as a table to stdout; numbers are right-aligned.

    Args:
        columns: Column headings.
        rows: A cell for each column.
        title: Printed above the table; empty: none.
    """
    table = Table(title=title or None, title_justify="left")
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    _out.print(table)


def print_list(columns: list[str], rows: list[list[object]], *, ids: tuple[str, ...] = ("id",)) -> None:
    """Print rows to stdout: a table on a terminal, otherwise tab-separated lines.

    Args:
        columns: Column names.
        rows: A cell for each column.
        ids: Columns that are never wrapped, so that their content can be copied.
    """
    if not _out.is_terminal:
        for cells in ([*columns], *([_cell(value) for value in row] for row in rows)):
            sys.stdout.write("\t".join(cells) + "\n")
        return
    table = Table()
    for index, name in enumerate(columns):
        widest = max((len(_cell(row[index])) for row in rows), default=0)
        whole = name in ids
        table.add_column(name, overflow="fold", no_wrap=whole, min_width=widest if whole else None)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    _out.print(table)


def settings_from(**given: Any) -> Settings:
    """Return the settings, overridden by the given options; None means not given."""
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
