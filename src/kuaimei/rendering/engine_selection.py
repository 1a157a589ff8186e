"""Engine for the HQ rendering of a voice: Kokoro in fp32 with the voice's weights, or another synthesizer."""

import asyncio
import hashlib
import io
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeAlias
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.protocols import Synthesizer, ZeroShotCloner
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.tts.kokoro.hq import MEMORY_MB, KokoroHq, open_hq
from kuaimei.errors import EngineError, NotFound, StoreError, WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.rendering.renderer import HqEngine
from kuaimei.store.voices import DECODER, REFERENCE, STYLE
from kuaimei.system.files import anonymous_file, path_of

__all__ = ["ClonedVoiceRecord", "ClonedVoiceSource", "HqEngineSelector"]

_log = logging.getLogger(__name__)

_CLONED: Final = "voice_"
_REVISION: Final = 1
"""Revision of the rendering code; a higher one makes renderings of the same weights out of date."""
_REMOTE_MEMORY_MB: Final = 1.0
_UNKNOWN_MB: Final = 800.0
"""Assumed memory of a third-party engine, which does not state its own."""

_Teach: TypeAlias = Callable[[Synthesizer], None]


class ClonedVoiceRecord(Protocol):
    """A cloned voice."""

    @property
    def transcript(self) -> str | None:
        """Transcript of the reference recording."""
        ...


class ClonedVoiceSource(Protocol):
    """Source of cloned voices. See `kuaimei.store.voices.VoiceRepository`."""

    async def get(self, voice: str) -> ClonedVoiceRecord:
        """Return a voice; raise `NotFound` if there is none."""
        ...

    async def file(self, voice: str, name: str) -> bytes:
        """Return the voice's file ``name``; raise `NotFound` if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _WithVoices:
    """A synthesizer (weakly referenced) and the versions of the cloned voices loaded into it."""

    synthesizer: ref[Synthesizer]
    voices: dict[str, str]


class HqEngineSelector:
    """Selects the engine for a voice: call it with the voice's id.

    Args:
        engine_context: Dependencies of engines.
        source: The configured HQ engine.
        kept: Cloned voices, with their reference recordings and trained files.
    """

    def __init__(self, engine_context: EngineContext, source: EngineSource, kept: ClonedVoiceSource) -> None:
        self._engine_context = engine_context
        self._source = source
        self._kept = kept
        self._substitute = engine_context.settings.rendering.hq_voice
        self._taught: list[_WithVoices] = []
        self._looking: set[asyncio.Task[None]] = set()

    async def __call__(self, voice: str) -> HqEngine:
        """Return the engine for ``voice``.

        Raises:
            WeightsError: If the style of the voice is damaged.
            StoreError: If the blob store does not answer.
        """
        if self._source.engine == "kokoro":
            return await self._kokoro(voice)
        source = self._source
        reference = await self._file(voice, REFERENCE)
        version, teach = "", None
        if reference is not None:
            transcript = (await self._kept.get(voice)).transcript or ""
            version = _version(reference, transcript.encode())
            teach = partial(_put_reference, voice, reference, transcript)
        return HqEngine(
            key=f"hq {source.name}",
            version=self._version(source.name, version),
            memory_mb=_REMOTE_MEMORY_MB if source.url else _UNKNOWN_MB,
            open=partial(open_synthesizer, self._engine_context, source),
            prepare=partial(self._prepare, voice, version, teach),
        )

    def changed(self, voice: str) -> None:
        """Handle a changed or deleted voice; returns at once.

        Loaded engines drop a deleted voice, and have a remote server delete its recording.
        """
        task = asyncio.ensure_future(self._look(voice))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _look(self, voice: str) -> None:
        try:
            await self._kept.get(voice)
        except NotFound:
            for taught in self._taught:
                if (synthesizer := taught.synthesizer()) is not None:
                    _forget(synthesizer, taught.voices, voice)
        except StoreError as error:  # it is checked again before the voice is rendered
            _log.warning("cannot check whether voice %s still exists: %s", voice, error)

    async def _kokoro(self, voice: str) -> HqEngine:
        source = self._source
        network = await asyncio.to_thread(_size, source.path)
        style, decoder = await self._file(voice, STYLE), await self._file(voice, DECODER)
        if style is None:
            decoder = None  # both are made by the same training
        version = _version(style, decoder) if style is not None else ""
        own = () if decoder is None else (voice, _version(decoder))
        return HqEngine(
            key=" ".join(("hq", source.name, *own)),
            version=self._version(source.name, network, version),
            memory_mb=MEMORY_MB,
            open=partial(self._open_kokoro, decoder),
            prepare=partial(
                self._prepare,
                voice,
                version,
                partial(_put_style, voice, _table(voice, style)) if style is not None else None,
            ),
        )

    @asynccontextmanager
    async def _open_kokoro(self, decoder: bytes | None) -> AsyncIterator[KokoroHq]:
        if decoder is None:
            async with open_hq(self._engine_context, self._source) as engine:
                yield engine
            return
        async with AsyncExitStack() as stack:
            with anonymous_file() as file:
                await asyncio.to_thread(file.write, decoder)
                await asyncio.to_thread(file.flush)
                engine = await stack.enter_async_context(
                    open_hq(self._engine_context, self._source, path_of(file))
                )
            yield engine  # the decoder is loaded and its temporary file gone

    def _prepare(self, voice: str, version: str, teach: _Teach | None, synthesizer: Synthesizer) -> str:
        """Load the voice into ``synthesizer``; return its name there, or that of the substitute voice."""
        known = self._loaded_versions(synthesizer)
        if teach is None:
            _forget(synthesizer, known, voice)  # it may have been deleted
        elif known.get(voice) != version:
            teach(synthesizer)
            known[voice] = version
        for name in (voice, self._substitute):
            if name in synthesizer.voices:
                return name
        raise EngineError(
            f"the HQ engine has no voice {voice!r}: set KUAIMEI_RENDERING__HQ_VOICE to one of "
            f"{', '.join(synthesizer.voices[:12])}"
        )

    def _loaded_versions(self, synthesizer: Synthesizer) -> dict[str, str]:
        """Return the versions of the voices loaded into ``synthesizer``, by voice."""
        self._taught = [taught for taught in self._taught if taught.synthesizer() is not None]
        for taught in self._taught:
            if taught.synthesizer() is synthesizer:
                return taught.voices
        self._taught.append(_WithVoices(ref(synthesizer), {}))
        return self._taught[-1].voices

    def _version(self, *parts: str) -> str:
        substitute = f"else {self._substitute}" if self._substitute else ""
        return " ".join(filter(None, (*parts, f"r{_REVISION}", substitute)))

    async def _file(self, voice: str, name: str) -> bytes | None:
        """Read a file of a voice; None if it is not cloned, was deleted, or has no such file (yet)."""
        if not voice.startswith(_CLONED):
            return None
        try:
            return await self._kept.file(voice, name)
        except NotFound:
            return None


def _forget(synthesizer: Synthesizer, known: dict[str, str], voice: str) -> None:
    if known.pop(voice, None) is not None and isinstance(synthesizer, KokoroHq | ZeroShotCloner):
        synthesizer.drop_voice(voice)


def _version(*parts: bytes | None) -> str:
    return hashlib.sha256(b"|".join(part or b"" for part in parts)).hexdigest()[:16]


def _size(folder: Path | None) -> str:
    """Return the size of the weights in hex: different weights of the same name seldom have the same size."""
    try:
        return f"{(folder / 'fp32.onnx').stat().st_size:x}" if folder is not None else ""
    except OSError:
        return ""  # opening the engine reports the error


def _table(voice: str, data: bytes) -> NDArray[np.float32]:
    try:
        table: NDArray[np.float32] = np.load(io.BytesIO(data), allow_pickle=False).astype(np.float32)
    except (ValueError, EOFError, OSError) as error:
        raise WeightsError(f"the style of {voice} is damaged; train the voice again") from error
    return table


def _put_style(voice: str, style: NDArray[np.float32], synthesizer: Synthesizer) -> None:
    if isinstance(synthesizer, KokoroHq):
        synthesizer.put_voice(voice, style)


def _put_reference(voice: str, audio: bytes, transcript: str, synthesizer: Synthesizer) -> None:
    if isinstance(synthesizer, ZeroShotCloner):
        synthesizer.put_reference(voice, audio, transcript)
