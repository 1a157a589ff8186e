"""Tables that spreadsheets open, and take for nothing but text and numbers."""

import csv
import io

from kuaimei.server.rest.csv_tables import csv_text, sheet_response


def test_text_is_no_formula_and_numbers_keep_their_sign() -> None:
    text = csv_text(("a", "b"), [("=1+1", -0.5), ("@x", None), ("-3", 4), ("好，\n是", "+"), ("\tx", "\r")])
    assert text.startswith("\ufeffa,b")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert rows[1:] == [["'=1+1", "-0.5"], ["'@x", ""], ["'-3", "4"], ["好，\n是", "'+"], ["'\tx", "'\r"]]


def test_it_is_a_file_to_be_saved() -> None:
    response = sheet_response("labels.csv", ("a",), [])
    assert response.headers["content-disposition"] == 'attachment; filename="labels.csv"'
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
