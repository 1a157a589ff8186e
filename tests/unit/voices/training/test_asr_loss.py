from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from kuaimei.engines.asr.whisper import SCRIPT_PROMPTS
from kuaimei.engines.types import Language
from kuaimei.errors import WeightsError
from kuaimei.voices.training.asr_loss import write_asr_loss_spec

MARKS = ["startoftranscript", "zh", "en", "transcribe", "notimestamps", "startofprev", "endoftext"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer that has a number for each character and each of Whisper's marks."""
    characters = sorted(set(f"{SCRIPT_PROMPTS['zh']}今天好嗎How are you, don't? ，？"))
    tokenizer = Tokenizer(BPE({char: number for number, char in enumerate(characters)}, []))
    tokenizer.add_special_tokens([f"<|{mark}|>" for mark in MARKS])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "model.bin").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("language", "line", "spoken", "before"),
    [
        (
            "zh",
            "今天，好嗎？",
            "今天好嗎",
            "<|startofprev|> 以下是臺灣繁體中文的句子。<|startoftranscript|><|zh|>",
        ),
        ("en", "How are you, don't you?", " How are you don't you", "<|startoftranscript|><|en|>"),
    ],
)
def test_lines_are_put_to_it_without_what_nobody_hears(
    folder: Path, language: Language, line: str, spoken: str, before: str
) -> None:
    found = write_asr_loss_spec(folder, [line, line], language)
    assert found is not None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def text(numbers: list[int]) -> str:
        return "".join(str(tokenizer.id_to_token(number)) for number in numbers)

    assert [text(one) for one in found["lines"]] == [f"{spoken}<|endoftext|>"] * 2
    assert text(found["before"]) == f"{before}<|transcribe|><|notimestamps|>"
    assert found["weights"] == str(folder / "model.bin")


def test_damaged_weights_are_named(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(WeightsError, match="models verify"):
        write_asr_loss_spec(folder, ["今天"], "zh")


@pytest.mark.parametrize("missing", ["model.bin", "tokenizer.json"])
def test_without_its_weights_nobody_listens(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    assert write_asr_loss_spec(folder, ["今天"], "zh") is None
