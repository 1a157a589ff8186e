"""What renders a voice beautifully: the exact Kokoro with what the voice learned, or a far synthesiser."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.tts.kokoro.hq import MEMORY_MB, KokoroHq, open_hq
from kuaimei.engines.workshop import Workshop
from kuaimei.errors import EngineError, NotFound, WeightsError
from kuaimei.models.source import Source
from kuaimei.rendering.renderer import HqEngine

__all__ = ["DECODER_FILE", "STYLE_FILE", "HqEngines", "VoiceFile"]

VoiceFile: TypeAlias = Callable[[str, str], Awaitable[bytes]]
"""A file of a cloned voice, by the voice's id and the file's name (`kuaimei.store.voices.VoiceShelf`)."""

STYLE_FILE: Final = "style.npy"
DECODER_FILE: Final = "decoder.npz"
_CLONED: Final = "voice_"
_REVISION: Final = 1
"""Of how this house renders; a higher one makes other renderings of the same weights."""
_FAR_MB: Final = 1.0
_UNKNOWN_MB: Final = 800.0
"""Of an engine that somebody else added and that does not say."""


@dataclass(frozen=True, slots=True)
class _Learned:
    """What a cloned voice has learned.

    Attributes:
        style: Shape ``(256,)`` or a table.
        decoder: File of the difference to the stock decoder; None: it speaks with that.
        version: Of both.
    """

    style: NDArray[np.float32]
    decoder: bytes | None
    version: str


class HqEngines:
    """Chooses an engine for a voice: call it with the voice's id.

    Args:
        workshop: What engines are built from.
        source: What renders, as the settings say.
        voice_file: Where cloned voices keep what they learned.
    """

    def __init__(self, workshop: Workshop, source: Source, voice_file: VoiceFile) -> None:
        self._workshop = workshop
        self._source = source
        self._voice_file = voice_file
        self._substitute = workshop.settings.rendering.hq_voice

    async def __call__(self, voice: str) -> HqEngine:
        """The engine for ``voice``.

        Raises:
            WeightsError: If what the voice has learned cannot be read.
            StoreError: If the place of the recordings does not answer.
        """
        source = self._source
        if source.engine != "kokoro":
            return HqEngine(
                key=f"hq {source.name}",
                version=self._version(source.name),
                memory_mb=_FAR_MB if source.url else _UNKNOWN_MB,
                open=partial(open_synthesizer, self._workshop, source),
                prepare=partial(_known, voice, self._substitute),
            )
        network = await asyncio.to_thread(_size, source.path)
        learned = await self._learned(voice)
        if learned is None:
            return HqEngine(
                key=f"hq {source.name}",
                version=self._version(source.name, network),
                memory_mb=MEMORY_MB,
                open=partial(open_hq, self._workshop, source),
                prepare=partial(_forgotten if _cloned(voice) else _known, voice, self._substitute),
            )
        own = f" {voice}" if learned.decoder is not None else ""
        return HqEngine(
            key=f"hq {source.name}{own} {learned.version if own else ''}".rstrip(),
            version=self._version(source.name, network, learned.version),
            memory_mb=MEMORY_MB,
            open=partial(self._open_learned, learned.decoder),
            prepare=partial(_taught, voice, learned.style),
        )

    def _version(self, *parts: str) -> str:
        substitute = (f"else {self._substitute}",) if self._substitute else ()
        return " ".join((*parts, f"r{_REVISION}", *substitute))

    @asynccontextmanager
    async def _open_learned(self, decoder: bytes | None) -> AsyncIterator[KokoroHq]:
        with TemporaryDirectory(prefix="kuaimei-") as folder:
            path: Path | None = None
            if decoder is not None:
                path = Path(folder, DECODER_FILE)
                await asyncio.to_thread(path.write_bytes, decoder)
            async with open_hq(self._workshop, self._source, path) as engine:
                if path is not None:  # it is read by now; nothing of a voice is left lying about
                    await asyncio.to_thread(path.unlink)
                yield engine

    async def _learned(self, voice: str) -> _Learned | None:
        """None: it is no cloned voice, or is gone."""
        if not _cloned(voice):
            return None
        try:
            style = await self._voice_file(voice, STYLE_FILE)
        except NotFound:
            return None
        try:
            decoder: bytes | None = await self._voice_file(voice, DECODER_FILE)
        except NotFound:
            decoder = None
        try:
            table: NDArray[np.float32] = np.load(io.BytesIO(style), allow_pickle=False).astype(np.float32)
        except (ValueError, EOFError, OSError) as error:
            raise WeightsError(f"the style of {voice} is damaged; learn the voice anew") from error
        return _Learned(table, decoder, hashlib.sha256(style + b"|" + (decoder or b"")).hexdigest()[:16])


def _cloned(voice: str) -> bool:
    return voice.startswith(_CLONED)


def _size(folder: Path | None) -> str:
    """Of the weights: other weights of the same name are seldom of the same length."""
    try:
        return f"{(folder / 'fp32.onnx').stat().st_size:x}" if folder is not None else ""
    except OSError:
        return ""  # opening it will tell what is wrong


def _known(voice: str, substitute: str, synthesizer: Synthesizer) -> str:
    """``voice`` if the engine has it, else the one that stands in for it."""
    for name in (voice, substitute):
        if name in synthesizer.voices:
            return name
    raise EngineError(
        f"what renders beautifully knows no voice {voice!r}: set KUAIMEI_RENDERING__HQ_VOICE to one of "
        f"{', '.join(synthesizer.voices[:12])}"
    )


def _forgotten(voice: str, substitute: str, synthesizer: Synthesizer) -> str:
    """A cloned voice that is gone: an engine that spoke in it shall not, though it still could."""
    if isinstance(synthesizer, KokoroHq):
        synthesizer.drop_voice(voice)
    return _known(voice, substitute, synthesizer)


def _taught(voice: str, style: NDArray[np.float32], synthesizer: Synthesizer) -> str:
    if not isinstance(synthesizer, KokoroHq):
        raise EngineError(f"the engine cannot learn the voice {voice}")
    synthesizer.put_voice(voice, style)
    return voice
