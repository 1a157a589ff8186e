from pathlib import Path

import pytest

from kuaimei.text.reading import read_aloud

GOLDEN = [
    (line.split("\t")[0], line.split("\t")[1])
    for line in Path(__file__).with_name("reading_golden.tsv").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("# ")
]


@pytest.mark.parametrize(("text", "reading"), GOLDEN)
def test_golden(text: str, reading: str) -> None:
    assert read_aloud(text) == reading
