from pathlib import Path

import pytest

from kuaimei.engines.llm import open_language_model
from kuaimei.engines.llm.llama_cpp import Llama, PromptProgress, find_gguf
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.errors import SettingsError, WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_a_file_is_itself(tmp_path: Path) -> None:
    touch(tmp_path, "any.gguf", "other.gguf")
    assert find_gguf(tmp_path / "any.gguf") == tmp_path / "any.gguf"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["model.gguf", "tokenizer.json"], "model.gguf"),
        (
            ["m-00002-of-00003.gguf", "m-00001-of-00003.gguf", "m-00003-of-00003.gguf"],
            "m-00001-of-00003.gguf",
        ),
        (["qwen-2.5-of-ours.gguf"], "qwen-2.5-of-ours.gguf"),
    ],
)
def test_a_folder_holds_one_model(tmp_path: Path, names: list[str], found: str) -> None:
    touch(tmp_path, *names)
    assert find_gguf(tmp_path) == tmp_path / found


def test_no_model_or_several_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no gguf model"):
        find_gguf(tmp_path)
    touch(tmp_path, "a.gguf", "b.gguf")
    with pytest.raises(WeightsError, match=r"a\.gguf, b\.gguf"):
        find_gguf(tmp_path)


def test_what_is_no_model_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(WeightsError, match="not a gguf model"):
        Llama(path, threads=1, conversations=1, context=64)


def test_a_reading_tells_what_was_computed() -> None:
    reading = PromptProgress(total=80, cached=50, done=70)
    assert reading.evaluated == 20
    assert not reading.complete


async def test_without_weights_or_with_an_unknown_engine_nothing_opens() -> None:
    engine_context = EngineContext(Settings(), Scheduler("cores", 1))
    with pytest.raises(WeightsError, match="models pull"):
        async with open_language_model(engine_context, EngineSource("llm", "x", "llama")):
            pass
    with pytest.raises(SettingsError, match="llama, openai"):
        open_language_model(engine_context, EngineSource("llm", "x", "oracle"))
