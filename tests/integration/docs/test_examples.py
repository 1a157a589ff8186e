"""The examples for other clients run, in the order of the page, against the real server."""

import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from pydantic import SecretStr

from kuaimei.audio.decode import decode
from kuaimei.runtime import open_runtime
from kuaimei.settings import RenderingSettings, ServerSettings, Settings, StoreSettings
from tests.integration.docs.blocks import blocks, run
from tests.support.server.app_server import KEY, InMemoryRuntime, Served, serving

pytestmark = [
    pytest.mark.models,
    # SWIG's modules of the language model name no home; and the library says so once.
    pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning"),
]

_PAGE = "docs/how-to/openai-client.md"
_ADDRESS = "http://127.0.0.1:8000"
_FEWEST_EXAMPLES = 4


@asynccontextmanager
async def served_runtime() -> AsyncIterator[Served]:
    """As `make run` serves it, with a lighter language model, keeping nothing."""
    settings = Settings(
        llm="qwen2.5-coder-0.5b",
        voice="",
        store=StoreSettings(keep=False),
        rendering=RenderingSettings(hq="none"),
        server=ServerSettings(port=0, api_key=SecretStr(KEY)),
    )
    async with open_runtime(settings) as runtime, serving(cast(InMemoryRuntime, runtime)) as served:
        yield served


async def test_they_run(tmp_path: Path) -> None:
    examples = blocks(_PAGE, "sh", "python")
    assert len(examples) >= _FEWEST_EXAMPLES
    async with served_runtime() as served:
        printed = []
        for language, code in examples:
            code = code.replace(_ADDRESS, served.url).replace(
                _ADDRESS.replace("http", "ws"), served.url.replace("http", "ws")
            )
            printed.append(await run(language, code, tmp_path, API_KEY=KEY))
        curl, client, realtime, typed = printed
        assert '"id":"kuaimei"' in curl.replace(" ", "")
        assert "明天" in curl
        assert "明天" in client
        assert "heard:" in realtime
        assert "明天" in realtime
        assert "says:" in realtime
        assert typed.strip()
        assert len(await decode((tmp_path / "answer.mp3").read_bytes(), 24_000)) > 12_000
        with wave.open(str(tmp_path / "reply.wav")) as reply:
            assert (reply.getframerate(), reply.getnchannels()) == (24_000, 1)
            assert reply.getnframes() > 12_000

        # The README's own example, in both languages: the recording is one's own there.
        for readme, recording in (("README.md", "recording.wav"), ("README.zh-TW.md", "錄音.wav")):
            shutil.copy(tmp_path / "question.wav", tmp_path / recording)
            (example,) = blocks(readme, "python")
            code = example[1].replace(_ADDRESS, served.url)
            assert "明天" in await run("python", code, tmp_path, API_KEY=KEY)
            assert len(await decode((tmp_path / "hello.mp3").read_bytes(), 24_000)) > 12_000
            (tmp_path / "hello.mp3").unlink()
