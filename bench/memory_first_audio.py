"""First audio with a bounded cache of compiled kernels, compared with an unbounded one.

The two alternate in one process, also in who speaks first, and ratios are taken per text, so that a busy
machine slows both alike.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.memory_material import first_clause
from kuaimei.audio.pcm import Pcm
from kuaimei.cli.console import note
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts.kokoro.assets import load_alphabet, load_voices
from kuaimei.engines.tts.kokoro.engine import Kokoro
from kuaimei.engines.tts.kokoro.g2p import load_phonemes
from kuaimei.engines.tts.kokoro.openvino import KERNELS_KEPT, OpenVino
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.settings import Settings

__all__ = ["compare"]

_UNBOUNDED: Final = 5000
"""Kernels of each kind that OpenVINO keeps by default."""
_FIFTY: Final = "{}我們一起去公園散步，看看那裡的花開了沒有，然後再去附近的餐廳吃一頓豐盛的午餐，好不好呢？"
_SAID_BEFORE: Final = 4
_LIVE: Final = Ticket(session="first audio", priority=Priority.LIVE)


def compare(count: int) -> Mapping[str, Any]:
    """Return medians of the first audio in ms, bounded and unbounded, and of the ratios per text.

    Args:
        count: Number of first clauses of 8 to 12 characters, of texts of 50 characters with other beginnings,
            and of clauses that were spoken before: only for these an unbounded cache helps.
    """
    return asyncio.run(_compare(count))


async def _compare(count: int) -> Mapping[str, Any]:
    settings = Settings()
    folder = settings.weights_dir / "kokoro"
    phonemes = load_phonemes(None)
    with tempfile.TemporaryDirectory(prefix="kuaimei-compiled-") as cache:

        def engine(kept: int) -> Kokoro:
            cores, compiled = settings.engines.cores, Path(cache) / str(kept)
            runtime = OpenVino(folder / "fp32.onnx", cores, "bf16", compiled, kept_kernels=kept)
            scheduler = Scheduler("cores", cores)
            return Kokoro(runtime, load_alphabet(folder), load_voices(folder), phonemes, scheduler)

        engines = {"bounded": engine(KERNELS_KEPT), "unbounded": engine(_UNBOUNDED)}
        for one in engines.values():
            await one.warm_up()
        found = {
            "clause of 8 to 12 characters": await _alternate(engines, first_clause, count),
            "text of 50 characters": await _alternate(
                engines, lambda number: _FIFTY.format(first_clause(number + count)), count
            ),
            "one of four clauses that were said before": await _alternate(
                engines, lambda number: first_clause(number % _SAID_BEFORE), count
            ),
        }
        for one in engines.values():
            one.close()
    return found


async def _alternate(
    engines: Mapping[str, Kokoro], text: Callable[[int], str], count: int
) -> dict[str, float | bool]:
    wall: dict[str, list[float]] = {name: [] for name in engines}
    processor: dict[str, list[float]] = {name: [] for name in engines}
    same = True
    for number in range(count):
        order = list(engines) if number % 2 else list(engines)[::-1]
        said: dict[str, Pcm] = {}
        for name in order:
            begun, computed = time.perf_counter(), time.process_time()
            said[name] = await _first(engines[name], text(number))
            wall[name].append((time.perf_counter() - begun) * 1000.0)
            processor[name].append((time.process_time() - computed) * 1000.0)
        same = same and np.array_equal(said["bounded"], said["unbounded"])
        if number % 10 == 9:
            note(f"{number + 1} of {count}")
    ratios = _ratios(wall)
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return {
        "bounded_ms": round(statistics.median(wall["bounded"]), 1),
        "unbounded_ms": round(statistics.median(wall["unbounded"]), 1),
        "ratio": round(float(middle), 4),
        "ratio_p25": round(float(low), 4),
        "ratio_p75": round(float(high), 4),
        "ratio_of_processor_time": round(float(np.median(_ratios(processor))), 4),
        "same_sound_bit_for_bit": same,
    }


def _ratios(found: Mapping[str, list[float]]) -> NDArray[np.float64]:
    ratios: NDArray[np.float64] = np.array(found["bounded"]) / np.array(found["unbounded"])
    return ratios


async def _first(engine: Kokoro, text: str) -> Pcm:
    """Return the first chunk of ``text``; the rest is not synthesized."""
    stream = engine.stream(TTSReq(text=text, ticket=_LIVE))
    try:
        return await anext(stream)
    finally:
        await stream.aclose()
