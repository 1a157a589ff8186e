"""CSV tables for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.responses import Response

__all__ = ["csv_text", "sheet_response"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_BOM = "\ufeff"
"""Byte order mark: spreadsheets recognise UTF-8 by it."""


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV with a line for each row; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return _BOM + text.getvalue()


def sheet_response(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return a table as a CSV download.

    Args:
        name: File name, without quotation marks.
        columns: Column headings.
        rows: A cell for each column.
    """
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(csv_text(columns, rows), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: object) -> str:
    """Return the cell's text, escaped if it looks like a formula; a number may begin with its sign."""
    if value is None:
        return ""
    text = str(value)
    is_text = isinstance(value, str)
    return f"'{text}" if is_text and text.startswith(_FORMULA) else text
