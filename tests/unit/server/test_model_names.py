import pytest

from kuaimei.models.source import EngineSource
from kuaimei.server.model_names import model_id


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (EngineSource("asr", "whisper-small", "whisper"), "whisper-small"),
        (EngineSource("llm", "/home/me/secret/tiny.v2.gguf", "llama"), "tiny.v2"),
        (
            EngineSource("llm", "http://u:pw@gpu.lan:9/v1", "openai", url="http://u:pw@gpu.lan:9/v1"),
            "gpu.lan",
        ),
    ],
)
def test_names_tell_neither_paths_nor_keys(source: EngineSource, name: str) -> None:
    assert model_id(source) == name
