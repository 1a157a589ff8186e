"""Tables that spreadsheets open."""

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.responses import Response

__all__ = ["csv_text", "sheet_response"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_BOM = "\ufeff"
"""In front, it tells spreadsheets that it is UTF-8."""


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV with a line for each row; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return _BOM + text.getvalue()


def sheet_response(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A sheet as a file to be saved.

    Args:
        name: Of the file; without quotation marks.
    """
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(csv_text(columns, rows), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: object) -> str:
    """Text that a spreadsheet does not take for a formula; a number may begin with its sign."""
    if value is None:
        return ""
    text = str(value)
    is_text = isinstance(value, str)
    return f"'{text}" if is_text and text.startswith(_FORMULA) else text
