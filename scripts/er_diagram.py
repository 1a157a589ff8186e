"""Generate the ER diagram of the database in ``docs/05_architecture_and_design_document.md``.

It is placed between two markers; the rest of the document stays as it is.

python -m scripts.er_diagram            # writes the diagram
python -m scripts.er_diagram --check    # status 1 if the diagram is out of date
"""

from collections.abc import Iterator

from sqlalchemy import Column, ForeignKey, MetaData, Table
from sqlalchemy.dialects import postgresql

from kuaimei.store.tables import metadata
from scripts.generated import ROOT, between, write_or_check

TARGET = ROOT / "docs" / "05_architecture_and_design_document.md"
BEGIN = "<!-- er: written by `python -m scripts.er_diagram` -->"
END = "<!-- /er -->"

_SHORT = {"timestamp with time zone": "timestamptz"}


def main() -> None:
    """Write or check the diagram."""
    text = TARGET.read_text(encoding="utf-8")
    write_or_check(TARGET, replaced(text, render(metadata)), "scripts.er_diagram")


def replaced(text: str, diagram: str) -> str:
    """Return ``text`` with ``diagram`` between its markers.

    Raises:
        SystemExit: If the markers are not there, once and in order.
    """
    return between(text, BEGIN, diagram, END, TARGET)


def render(tables: MetaData) -> str:
    """Return the diagram as a Mermaid block, tables in the order of their declaration."""
    lines = ["```mermaid", "erDiagram"]
    declared = list(tables.tables.values())
    lines += [f"    {line}" for table in declared for line in _references(table)]
    lines += [f"    {line}" for table in declared for line in _entity(table)]
    return "\n".join([*lines, "```", ""])


def _references(table: Table) -> Iterator[str]:
    for column in table.columns:
        for key in column.foreign_keys:
            yield f'{key.column.table.name} {_cardinality(table, column)} {table.name} : "{_label(key)}"'


def _cardinality(table: Table, column: Column[object]) -> str:
    """Return the cardinality at both ends of a reference."""
    one = "|o" if column.nullable else "||"
    alone = column.primary_key and len(table.primary_key) == 1
    return f"{one}--{'o|' if alone else 'o{'}"


def _label(key: ForeignKey) -> str:
    goes_with_it = f", {key.ondelete.lower()}" if key.ondelete else ""
    return f"{key.parent.name}{goes_with_it}"


def _entity(table: Table) -> Iterator[str]:
    yield f"{table.name} {{"
    for column in table.columns:
        keys = [name for name, is_one in (("PK", column.primary_key), ("FK", column.foreign_keys)) if is_one]
        parts = [_type(column), column.name, ", ".join(keys), '"null"' if column.nullable else ""]
        yield "    " + " ".join(filter(None, parts))
    yield "}"


def _type(column: Column[object]) -> str:
    name = column.type.compile(dialect=postgresql.dialect()).lower()  # type: ignore[no-untyped-call]
    return _SHORT.get(name, name)


if __name__ == "__main__":
    main()
