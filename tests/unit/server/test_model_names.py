import pytest

from kuaimei.models.source import Source
from kuaimei.server.model_names import model_id


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (Source("asr", "whisper-small", "whisper"), "whisper-small"),
        (Source("llm", "/home/me/secret/tiny.v2.gguf", "llama"), "tiny.v2"),
        (Source("llm", "http://u:pw@gpu.lan:9/v1", "openai", url="http://u:pw@gpu.lan:9/v1"), "gpu.lan"),
    ],
)
def test_names_tell_neither_paths_nor_keys(source: Source, name: str) -> None:
    assert model_id(source) == name
