"""The ER diagram in the architecture document is what the tables are."""

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, Text

from kuaimei.store.tables import metadata
from scripts.er_diagram import BEGIN, END, TARGET, render, replaced


def test_the_diagram_is_true() -> None:
    text = TARGET.read_text(encoding="utf-8")
    assert replaced(text, render(metadata)) == text, "run `python -m scripts.er_diagram`"


def test_every_table_and_column_is_drawn() -> None:
    drawn = render(metadata)
    for table in metadata.tables.values():
        assert f"    {table.name} {{" in drawn
        for column in table.columns:
            assert f" {column.name}" in drawn.partition(f"    {table.name} {{")[2].partition("}")[0]


def test_references_say_how_many_and_what_goes_with_what() -> None:
    tables = MetaData()
    Table("houses", tables, Column("id", Text, primary_key=True))
    house = ForeignKey("houses.id", ondelete="CASCADE")
    Table("rooms", tables, Column("id", Integer, primary_key=True), Column("house", Text, house))
    Table("roofs", tables, Column("house", Text, ForeignKey("houses.id"), primary_key=True))
    drawn = render(tables)
    assert '    houses |o--o{ rooms : "house, cascade"' in drawn
    assert '    houses ||--o| roofs : "house"' in drawn
    assert '        text house FK "null"' in drawn
    assert "        text house PK, FK" in drawn


@pytest.mark.parametrize("text", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {END} {BEGIN} {END}"])
def test_a_document_without_its_marks_is_not_written(text: str) -> None:
    with pytest.raises(SystemExit, match="must contain one line"):
        replaced(text, "diagram")
