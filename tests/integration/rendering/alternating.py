"""Run as a process of its own: three real engines in turns where two have room; memory to stdout as JSON."""

import asyncio
import json
from functools import partial
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from kuaimei.engines.asr import open_recognizer
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.tts.kokoro.hq import open_hq
from kuaimei.engines.types import STTReq, TTSReq
from kuaimei.models.source import EngineSource
from kuaimei.rendering.model_cache import ModelCache, Opener
from kuaimei.settings import EngineSettings, Settings

TEXT = "今天的天氣非常好，我們一起去公園散步。"


def rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1024**2


async def work(engine: Any) -> int:
    """Have it do something real; how much came out."""
    if hasattr(engine, "stream"):
        return sum([len(pcm) async for pcm in engine.stream(TTSReq(text=TEXT))])
    noise = np.random.default_rng(7).integers(-500, 500, 32_000, dtype=np.int16)
    return len((await engine.transcribe(noise, STTReq(language="zh"))).text) + 1


async def main() -> None:
    # One runtime and one recogniser that are on every machine where anything is.
    settings = Settings(engines=EngineSettings(cores=1, tts_runtime="onnxruntime"))
    engine_context = EngineContext(settings, Scheduler("cores", 1))
    kokoro = EngineSource("tts", "kokoro", "kokoro", settings.weights_dir / "kokoro")
    whisper = EngineSource("asr", settings.asr, "whisper", settings.weights_dir / settings.asr)
    openers: dict[str, Opener[Any]] = {
        "fast": partial(open_synthesizer, engine_context, kokoro),
        "asr": partial(open_recognizer, engine_context, whisper),
        "hq": partial(open_hq, engine_context, kokoro),
    }
    told: list[dict[str, object]] = []
    async with ModelCache(2_000.0) as model_cache:
        for name in ("asr", "fast", "asr", "hq", "fast"):
            async with model_cache.use(name, 1_000.0, openers[name]) as engine:
                made = await work(engine)
            del engine
            told.append(
                {"used": name, "made": made, "rss_mb": rss_mb(), "there": sorted(model_cache.residents)}
            )
        c = model_cache.counters
        counted = {"loads": c.loads, "hits": c.hits, "evictions": c.evictions, "load_s": c.load_s}
    print(json.dumps({"steps": told, "counters": counted, "afterwards_mb": rss_mb()}))


asyncio.run(main())
