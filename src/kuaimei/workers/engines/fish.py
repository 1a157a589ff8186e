"""Fish-Speech / OpenAudio, through the API server that ships with it: it needs its own process anyway.

Written against ``fish-speech`` 0.1.0 (OpenAudio S1), ``tools/api_server.py``: ``GET /v1/health`` and ``POST
/v1/tts`` with the fields of ``fish_speech.utils.schema.ServeTTSRequest`` as JSON (text, format, references
with audio in base64 and text, streaming, use_memory_cache, normalize, …), which answers with a WAV header
and then 16-bit samples. Emotions are tags in the text: ``(sad)``. Tested against a mock server that follows
that contract.
"""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import EngineError, EngineUnavailable
from kuaimei.models.source import without_secrets
from kuaimei.settings import Settings
from kuaimei.workers.text_preparation import simplified
from kuaimei.workers.threaded import open_in_thread
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Options, TTSEngine

__all__ = ["CARD"]

_URL: Final = "http://127.0.0.1:8080"
_HEADER: Final = 44
"""Bytes of the WAV header; the sample rate is the little-endian 32-bit integer at offset 24."""
_PATIENCE_S: Final = 120.0
_MARK: Final = re.compile(r"[a-z][a-z -]{0,30}")


class _Fish:
    voices: Sequence[str] = ("default",)

    def __init__(self, client: httpx.Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self.sample_rate = 0
        self._ask("/v1/health")
        for _ in self._spoken({"text": "你好。"}):  # warms the server up and reveals the sample rate
            pass

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        text = simplified(speech.text, self._settings)
        if speech.instructions:
            mark = speech.instructions.strip().lower().strip("()")
            if not _MARK.fullmatch(mark):
                raise EngineError(
                    "fish supports one emotion as instructions, such as: sad, excited, whispering"
                )
            text = f"({mark}) {text}"
        asked: dict[str, Any] = {"text": text}
        if speech.reference is not None:
            audio = base64.b64encode(speech.reference.path.read_bytes()).decode()
            words = simplified(speech.reference.transcript, self._settings)
            asked["references"] = [{"audio": audio, "text": words}]
        yield from self._spoken(asked)

    @property
    def _where(self) -> str:
        return without_secrets(str(self._client.base_url))

    def _ask(self, path: str) -> None:
        try:
            self._client.get(path).raise_for_status()
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"there is no Fish-Speech server at {self._where}; start its tools/api_server.py"
            ) from error

    def _spoken(self, asked: dict[str, Any]) -> Iterator[NDArray[np.float32]]:
        body = {"format": "wav", "streaming": True, "use_memory_cache": "on", "normalize": False, **asked}
        held = b""
        begun = False
        try:
            with self._client.stream("POST", "/v1/tts", json=body) as answer:
                if answer.status_code != 200:
                    told = answer.read().decode(errors="replace")[:200]
                    raise EngineError(f"Fish-Speech refused (HTTP {answer.status_code}): {told}")
                for data in answer.iter_bytes():
                    held += data
                    if not begun and len(held) >= _HEADER:
                        self.sample_rate = int.from_bytes(held[24:28], "little")
                        held, begun = held[_HEADER:], True
                    whole = len(held) // 2 * 2 if begun else 0
                    if whole:
                        yield np.frombuffer(held[:whole], "<i2").astype(np.float32) / 32768.0
                        held = held[whole:]
        except httpx.HTTPError as error:
            raise EngineUnavailable(f"the connection to Fish-Speech at {self._where} was lost") from error


@asynccontextmanager
async def _open(options: Options) -> AsyncIterator[TTSEngine]:
    client = httpx.Client(base_url=options.model or _URL, timeout=_PATIENCE_S, trust_env=False)

    def make() -> _Fish:
        options.progress("Fish-Speech server")
        return _Fish(client, options.settings)

    try:
        async with open_in_thread("fish", make) as speaker:
            yield speaker
    finally:
        await asyncio.to_thread(client.close)


CARD = EngineSpec(
    name="fish",
    package="fish-speech 0.1.0 (its API server)",
    licence=Licence(
        code="Apache-2.0",
        weights="CC-BY-NC-SA-4.0",
        commercial=False,
        source="fishaudio/openaudio-s1-mini",
    ),
    openers={"fast": _open},
    memory_mb=500.0,
    transcript=True,
    instructions=True,
    speed=False,
)
