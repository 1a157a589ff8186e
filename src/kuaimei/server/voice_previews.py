"""Sample clips of the voices: one sentence each, synthesized once at background priority and cached."""

import asyncio
import logging
import re
from functools import partial
from hashlib import sha256
from pathlib import Path

from kuaimei.audio.encode import encode
from kuaimei.audio.streams import collect_pcm
from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.errors import EngineUnavailable
from kuaimei.http.limits import ConcurrencyLimiter
from kuaimei.system import durability

__all__ = ["VoicePreviews", "language_of", "preview_sentence"]

_log = logging.getLogger(__name__)

_SENTENCES = {
    "zh": "你好，我是快美。今天想聊些什麼呢？",
    "en": "Hello, I am Kuaimei. What would you like to talk about today?",
}
_MAX_CACHED = 200
"""Samples on disk; the oldest are deleted first."""
_TIMEOUT_S = 120.0
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_OTHERS = "other"
"""File name for voices whose ids are not safe as file names; ids of cloned voices are."""


def language_of(voice: str) -> str:
    """Return the native language of a voice, guessed from its name; empty if unknown.

    Kokoro's names begin with language and gender (``zf_…``, ``af_…``).
    """
    head, mark, _ = voice.partition("_")
    if mark and len(head) == 2 and head[1] in "fm":
        return {"z": "zh", "a": "en", "b": "en"}.get(head[0], "")
    return ""


def preview_sentence(voice: str, language: str = "") -> str:
    """Return the sample sentence of ``voice``; ``language`` overrides the one guessed from its name."""
    return _SENTENCES.get(language or language_of(voice)) or _SENTENCES["zh"]


class VoicePreviews:
    """Synthesizes each sample once and caches it as a file.

    Args:
        synthesizer: Speaks the samples.
        engine: Name of the weights: other weights need other samples.
        folder: Of the files; created when needed.
    """

    def __init__(self, synthesizer: Synthesizer, engine: str, folder: Path) -> None:
        self._synthesizer = synthesizer
        self._engine = engine
        self._folder = folder
        self._gate = ConcurrencyLimiter("voice samples", running=1, waiting=64)
        self._making: dict[str, asyncio.Task[bytes]] = {}

    async def sample(self, voice: str, language: str = "") -> bytes:
        """Return a sentence in ``voice`` (one of the synthesizer's), as MP3.

        Args:
            voice: Id.
            language: Of the voice, where its id does not tell.

        Raises:
            EngineError: If it cannot be synthesized; `QueueFull` if too many are being made.
        """
        text = preview_sentence(voice, language)
        path = self._path(voice, text)
        if (data := await asyncio.to_thread(_read, path)) is not None:
            return data
        making = self._making.get(voice)
        if making is None:
            making = asyncio.ensure_future(self._make(voice, text, path))
            self._making[voice] = making
            making.add_done_callback(partial(self._forget_task, voice))
        return await asyncio.shield(making)

    def forget(self, voice: str) -> None:
        """Discard the sample of a voice that has changed or is gone."""
        self._making.pop(voice, None)
        for text in _SENTENCES.values():
            try:
                self._path(voice, text).unlink(missing_ok=True)
            except OSError as error:  # deleting the voice tries again
                _log.warning("the old sample of %s cannot be deleted: %s", voice, error.strerror)

    def _forget_task(self, voice: str, task: "asyncio.Task[bytes]") -> None:
        if self._making.get(voice) is task:
            del self._making[voice]

    def _path(self, voice: str, text: str) -> Path:
        """Return the file path; deleting the voice finds it by its id (see `kuaimei.store.voice_paths`)."""
        digest = sha256(f"{self._engine}|{voice}|{text}".encode()).hexdigest()[:32]
        name = voice if _PLAIN.fullmatch(voice) else _OTHERS
        return self._folder / f"{name}.{digest}.mp3"

    async def _make(self, voice: str, text: str, path: Path) -> bytes:
        async with self._gate.enter():
            ticket = Ticket(session="samples", priority=Priority.BACKGROUND)
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    req = TTSReq(text=text, voice_id=voice, ticket=ticket)
                    pcm = await collect_pcm(self._synthesizer.stream(req))
            except TimeoutError:
                raise EngineUnavailable(
                    f"the sample of voice {voice} was not ready within {_TIMEOUT_S:g} s"
                ) from None
        rate = self._synthesizer.sample_rate
        data = await asyncio.to_thread(encode, pcm, rate, "mp3")
        if self._making.get(voice) is not asyncio.current_task():
            return data  # discarded meanwhile: the voice has changed
        try:
            await asyncio.to_thread(_keep, path, data)
        except OSError as error:  # it is synthesized again next time
            _log.warning("the sample of %s cannot be cached: %s", voice, error)
        if self._making.get(voice) is not asyncio.current_task():
            await asyncio.to_thread(path.unlink, True)
        return data


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _keep(path: Path, data: bytes) -> None:
    durability.write_file(path, data)
    files = sorted(path.parent.glob("*.mp3"), key=lambda file: file.stat().st_mtime)
    for old in files[:-_MAX_CACHED]:
        old.unlink(missing_ok=True)
