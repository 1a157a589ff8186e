"""Taiwan's readings, through the jieba, pypinyin and lexicon that the synthesiser uses."""

from functools import cache
from pathlib import Path

import pytest

from kuaimei.engines.tts.kokoro.g2p_zh import Mandarin, load_mandarin
from kuaimei.text.lexicon import shipped_lexicon
from kuaimei.text.script import to_simplified

GOLDEN = [
    line.split("\t")
    for line in Path(__file__).with_name("polyphones_golden.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@cache
def mandarin() -> Mandarin:
    return load_mandarin(shipped_lexicon())


@pytest.mark.parametrize(("text", "expected"), GOLDEN)
def test_golden(text: str, expected: str) -> None:
    syllables = [syllable for word in mandarin().pinyin(to_simplified(text)) for syllable in word]
    assert " ".join(syllables).replace("ü", "v") == expected
