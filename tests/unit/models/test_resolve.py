from pathlib import Path

import pytest

from kuaimei.errors import WeightsError
from kuaimei.models.catalog import load_catalog
from kuaimei.models.resolve import plan, resolve
from kuaimei.models.source import EngineSource, Role
from kuaimei.settings import Settings


def _fill(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"GGUF")
    return folder


def test_a_name_of_the_catalogue_is_its_folder(tmp_path: Path) -> None:
    entry = load_catalog().entry("smart-turn")
    folder = tmp_path / "smart-turn"
    folder.mkdir()
    with (folder / "model.onnx").open("wb") as file:
        file.truncate(entry.ways[0].files[0].size)

    assert resolve("turn", "smart-turn", tmp_path) == EngineSource(
        "turn", "smart-turn", "smart-turn", path=folder, licence="BSD-2-Clause"
    )


@pytest.mark.parametrize("role_name", [("asr", "whisper-small"), ("llm", "qwen2.5-coder-1.5b")])
def test_missing_weights_say_how_to_get_them(tmp_path: Path, role_name: tuple[Role, str]) -> None:
    role, name = role_name
    with pytest.raises(WeightsError, match=f"not installed.*kuaimei models pull {name}"):
        resolve(role, name, tmp_path)


def test_half_a_model_says_what_is_missing(tmp_path: Path) -> None:
    _fill(tmp_path / "smart-turn", "other")
    with pytest.raises(WeightsError, match=r"model\.onnx is missing.*kuaimei models pull smart-turn"):
        resolve("turn", "smart-turn", tmp_path)


@pytest.mark.parametrize(("name", "licence"), [("silero", "MIT"), ("webrtc", "BSD-3-Clause")])
def test_voice_activity_detection_needs_no_weights(tmp_path: Path, name: str, licence: str) -> None:
    assert resolve("vad", name, tmp_path) == EngineSource("vad", name, name, licence=licence)


@pytest.mark.parametrize("role", ["turn", "captions"])
def test_what_can_be_left_out_is_left_out(tmp_path: Path, role: Role) -> None:
    assert resolve(role, "none", tmp_path) == EngineSource(role, "none", "none")


@pytest.mark.parametrize("role", ["asr", "llm", "tts"])
def test_a_url_is_far_away(tmp_path: Path, role: Role) -> None:
    url = "http://10.0.0.5:8000/v1"
    assert resolve(role, url, tmp_path) == EngineSource(role, url, "openai", url=url)


def test_a_url_where_there_can_be_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="KUAIMEI_VAD cannot be a URL"):
        resolve("vad", "http://10.0.0.5/v1", tmp_path)
    with pytest.raises(WeightsError, match="contains no host"):
        resolve("llm", "http:///v1", tmp_path)


@pytest.mark.parametrize(
    ("role", "engine", "paths"),
    [
        ("asr", "whisper", ["model.bin", "config.json", "tokenizer.json", "vocabulary.txt"]),
        ("captions", "vosk", ["zh/am/final.mdl"]),
        ("captions", "vosk", ["en/am/final.mdl"]),
        ("tts", "kokoro", ["int8.onnx", "tokenizer.json", "voices/af.bin"]),
        ("turn", "smart-turn", ["model.onnx"]),
        ("vad", "silero", ["model.onnx"]),
    ],
)
def test_a_folder_of_the_right_form_is_taken(
    tmp_path: Path, role: Role, engine: str, paths: list[str]
) -> None:
    folder = _fill(tmp_path / "mine", *paths)

    assert resolve(role, str(folder), tmp_path) == EngineSource(role, str(folder), engine, path=folder)

    (folder / paths[0]).unlink()
    with pytest.raises(WeightsError, match=rf"KUAIMEI_{role.upper()} is .* which is not"):
        resolve(role, str(folder), tmp_path)


def test_any_gguf_is_a_language_model(tmp_path: Path) -> None:
    file = _fill(tmp_path / "llm", "any.gguf") / "any.gguf"

    assert resolve("llm", str(file), tmp_path).path == file
    assert resolve("llm", str(file.parent), tmp_path).path == file
    assert resolve("llm", str(file), tmp_path).engine == "llama"

    file.write_bytes(b"<html>")
    with pytest.raises(WeightsError, match=r"not a \.gguf file"):
        resolve("llm", str(file), tmp_path)


def test_what_means_nothing_is_told_with_what_would(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"KUAIMEI_LLM is 'gpt'; .*qwen2\.5-coder-1\.5b.*a path or a URL"):
        resolve("llm", "gpt", tmp_path)
    with pytest.raises(WeightsError, match="does not exist"):
        resolve("llm", "/nowhere/any.gguf", tmp_path)
    with pytest.raises(WeightsError, match="KUAIMEI_ASR is 'kokoro'"):  # a name, but of another role
        resolve("asr", "kokoro", tmp_path)
    with pytest.raises(WeightsError, match="KUAIMEI_TTS is ''"):
        resolve("tts", "", tmp_path)


def test_only_what_the_settings_need_is_planned() -> None:
    names = [entry.name for entry in plan(Settings())]
    assert sorted(names) == ["kokoro", "qwen2.5-coder-1.5b", "smart-turn", "vosk-small", "whisper-small"]

    other = Settings(llm="http://10.0.0.5/v1", asr="whisper-base", turn="none", captions="none")
    assert [entry.name for entry in plan(other)] == ["whisper-base", "kokoro"]
