"""HQ rendering with Kokoro: whole sentences by the exact network, optionally with a voice's own decoder.

It has the same voices and the same g2p as the fast engine. It uses one core, renders one sentence after the
other, and stops in the middle of one when a more important request needs the cores.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.onnx_sessions import CancellableRun, StoppableSession, open_session
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts.kokoro.assets import load_alphabet, load_voices
from kuaimei.engines.tts.kokoro.clause_synthesis import ClauseSynthesizer, Styles, SynthesisStopped
from kuaimei.engines.tts.kokoro.g2p import load_phonemes
from kuaimei.engines.tts.kokoro.runtime import RATE, SynthesisInput
from kuaimei.engines.types import TTSReq
from kuaimei.errors import WeightsError
from kuaimei.models.onnx_reader import read_onnx
from kuaimei.models.source import EngineSource
from kuaimei.models.weight_delta import load_difference
from kuaimei.text.clauses import ClauseSegmenter, ClauseSizes, speech_length

__all__ = ["MEMORY_MB", "HqNetwork", "HqRuntime", "KokoroHq", "open_hq", "sentences"]

MEMORY_MB: Final = 1100.0
"""Memory of the network while it renders the longest sentence; measured, see `docs/benchmarks.md`."""

_SIZES: Final = ClauseSizes(sentence=12, pause=48, word_min=48, word_max=60, limit=64, quoted=48)
"""Sizes of a rendered sentence: prosody does not carry over a seam. A Chinese character has about 4.4
phonemes, and Kokoro, trained on shorter texts, hurries through more than 300 to 400 of them."""
_SHORTEST: Final = 6.0
"""A remainder of fewer spoken characters joins the previous sentence: the network renders those badly."""


class HqRuntime(Protocol):
    """Renders a piece on one core, and can be stopped."""

    def render(self, utterance: SynthesisInput, run: CancellableRun | None = None) -> NDArray[np.float32]:
        """Return samples at `RATE`, shape ``(m,)``.

        Raises:
            SynthesisStopped: If ``run`` was stopped.
        """
        ...

    def close(self) -> None:
        """Release the network; nothing can be rendered afterwards."""
        ...


class HqNetwork:
    """Kokoro's fp32 network on one core.

    Args:
        path: ``fp32.onnx``.
        replaced: Constants, by name, that replace those of the file.

    Raises:
        WeightsError: If the file is missing or damaged.
    """

    def __init__(self, path: Path, replaced: Mapping[str, NDArray[np.float32]] | None = None) -> None:
        self._session: StoppableSession | None = open_session(path, threads=1, replaced=replaced)

    def render(self, utterance: SynthesisInput, run: CancellableRun | None = None) -> NDArray[np.float32]:
        """See `HqRuntime.render`."""
        if self._session is None:
            raise RuntimeError("the synthesizer is closed")
        try:
            inputs, options = utterance.inputs("input_ids"), run.options if run is not None else None
            audio: NDArray[np.float32] = self._session.run(None, inputs, options)[0]
        except Exception:  # its exception classes are not public
            if run is not None and run.stopped:
                raise SynthesisStopped from None
            raise
        return audio.reshape(-1)

    def close(self) -> None:
        """See `HqRuntime.close`."""
        self._session = None


class KokoroHq:
    """HQ synthesizer; see the module docstring.

    Args:
        network: Computes the network.
        voicing: Holds the voices and converts text to audio.
        cores: Scheduler of the cores.

    Attributes:
        given_way: Number of sentences that were stopped for a more important request.
    """

    sample_rate = RATE

    def __init__(self, network: HqRuntime, voicing: ClauseSynthesizer, cores: Scheduler) -> None:
        self._network = network
        self._voicing = voicing
        self._cores = cores
        self.given_way = 0

    @property
    def voices(self) -> Sequence[str]:
        """Ids of the available voices; the first is the default."""
        return self._voicing.names

    def put_voice(self, voice_id: str, style: NDArray[np.float32]) -> None:
        """See `kuaimei.engines.protocols.StyleVoiceBank`."""
        self._voicing.put(voice_id, style)

    def drop_voice(self, voice_id: str) -> None:
        """See `kuaimei.engines.protocols.StyleVoiceBank`."""
        self._voicing.drop(voice_id)

    async def stream(self, req: TTSReq) -> AsyncGenerator[Pcm, None]:
        """Yield ``req.text`` spoken, one piece for each of its `sentences` that contains spoken text.

        Raises:
            EngineError: If the voice is unknown or synthesis failed; `QueueFull` if the queue was full or the
                deadline passed.
        """
        styles = self._voicing.styles(req.voice_id)
        for sentence in sentences(req.text):
            pcm = await self._speak(sentence, styles, req)
            if len(pcm):
                yield pcm

    def close(self) -> None:
        """Release the network."""
        self._network.close()

    async def _speak(self, sentence: str, styles: Styles, req: TTSReq) -> Pcm:
        while True:
            run = CancellableRun()
            try:
                return await run_on_cores(
                    self._cores,
                    req.ticket,
                    1,
                    self._render,
                    sentence,
                    styles,
                    req.speed,
                    run,
                    give_way=run.stop,
                )
            except SynthesisStopped:
                self.given_way += 1
            finally:
                run.stop()  # if the caller was cancelled, the thread still runs: this frees its core

    def _render(self, sentence: str, styles: Styles, speed: float, run: CancellableRun) -> Pcm:
        """Render one sentence, in a thread."""

        def network(utterance: SynthesisInput) -> NDArray[np.float32]:
            return self._network.render(utterance, run)

        return self._voicing.speak(sentence, styles, speed, network)


@asynccontextmanager
async def open_hq(
    engine_context: EngineContext, source: EngineSource, difference: Path | None = None
) -> AsyncIterator[KokoroHq]:
    """Open HQ Kokoro from the folder ``source.path``.

    Args:
        engine_context: Its cores are shared with the live engines.
        source: Kokoro's weights.
        difference: Weight delta of a voice's own decoder; None: the stock decoder.

    Raises:
        WeightsError: If a file is missing or damaged, or the delta belongs to other weights.
        SettingsError: If the user's lexicon has a bad line.
    """
    folder = source.path
    if folder is None or not folder.is_dir():
        raise WeightsError(f"the Kokoro folder {folder} does not exist; run: kuaimei models pull kokoro")
    path = folder / "fp32.onnx"

    def load() -> tuple[HqNetwork, ClauseSynthesizer]:
        network = HqNetwork(path, _replaced(path, difference) if difference is not None else None)
        phonemes: Callable[[str], str] = load_phonemes(engine_context.settings.home / "lexicon.toml")
        return network, ClauseSynthesizer(load_alphabet(folder), load_voices(folder), phonemes)

    network, voicing = await asyncio.to_thread(load)
    engine = KokoroHq(network, voicing, engine_context.cores)
    try:
        yield engine
    finally:
        engine.close()


def sentences(text: str) -> list[str]:
    """Split ``text`` into pieces that are rendered at once, mostly sentences; joined they equal ``text``."""
    cutter = ClauseSegmenter(first=_SIZES, following=_SIZES)
    pieces = [*cutter.push(text), *cutter.flush()]
    if len(pieces) > 1 and speech_length(pieces[-1]) < _SHORTEST:
        pieces[-2:] = ["".join(pieces[-2:])]
    return pieces


def _replaced(path: Path, difference: Path) -> dict[str, NDArray[np.float32]]:
    change = load_difference(difference)
    stock = read_onnx(path).tensors
    unknown = next((name for name in change.names if name not in stock), None)
    if unknown is not None:
        raise WeightsError(
            f"the voice was trained for another version of Kokoro ({unknown} is not in {path.name}); "
            "train it again"
        )
    return {name: np.ascontiguousarray(change.apply(name, stock[name])) for name in change.names}
