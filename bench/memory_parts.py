"""Memory of one engine in a process of its own, at each step of opening and using it.

    python -m bench.memory_parts PART SPEECH [--uses 40] [--every 10]

Called by `bench.memory`, which supplies a data folder; prints one JSON object.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeAlias

import numpy as np

from bench.memory_figures import Held, held
from bench.memory_material import SPOKEN, Speech, short_text
from kuaimei.audio.pcm import ASR_RATE, EMPTY, Pcm, to_float
from kuaimei.audio.resample import resample
from kuaimei.dialogue.engines import Engines
from kuaimei.engines.asr import open_captioner, open_recognizer
from kuaimei.engines.llm import open_language_model
from kuaimei.engines.prosody import open_meter
from kuaimei.engines.protocols import Captioner, LanguageModel, Recognizer, Synthesizer
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.speaker import EVAL_ENCODER, TRAINING_ENCODERS, open_encoder
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.tts.kokoro.g2p import load_phonemes
from kuaimei.engines.turn import open_turn_detector
from kuaimei.engines.types import LLMReq, Message, Priority, STTReq, Ticket, TTSReq
from kuaimei.engines.vad import open_vad
from kuaimei.runtime import open_runtime, sources
from kuaimei.settings import Settings
from kuaimei.system.memory import release_freed

__all__ = ["PARTS", "SPEECH"]

Use: TypeAlias = Callable[[int], Awaitable[object]]
"""Uses the engine with the text or excerpt of speech of that number."""
Opener: TypeAlias = Callable[[Settings, Speech], AbstractAsyncContextManager[Use]]

SPEECH: Final = "speech"
"""Value in place of a part: make the file of speech."""
_PACKET: Final = ASR_RATE // 5
_PEOPLE: Final = 3
_TOKENS: Final = 24
_LIVE: Final = Ticket(session="memory", priority=Priority.LIVE)


async def _say(synthesizer: Synthesizer, text: str) -> Pcm:
    request = TTSReq(text=text, ticket=_LIVE)
    return np.concatenate([EMPTY, *[pcm async for pcm in synthesizer.stream(request)]])


async def _caption(captioner: Captioner, pcm: Pcm, number: int) -> None:
    stream = captioner.open("en" if number % 4 == 3 else "zh")
    for start in range(0, len(pcm), _PACKET):
        await stream.push(pcm[start : start + _PACKET])
    await stream.close()


async def _reply(model: LanguageModel, text: str, earlier: list[Message]) -> str:
    messages = (*earlier, Message(role="user", content=text))
    request = LLMReq(messages=messages, max_tokens=_TOKENS, temperature=0.0, ticket=_LIVE)
    return "".join([piece async for piece in model.stream(request)])


async def _recognize(recognizer: Recognizer, pcm: Pcm) -> object:
    return await recognizer.transcribe(pcm, STTReq(ticket=_LIVE))


def _detect(engines: Engines, pcm: Pcm) -> None:
    detector = engines.vad()
    size = detector.frame_samples
    for start in range(0, len(pcm) - size + 1, size):
        detector.probability(pcm[start : start + size])


def _engine_context(settings: Settings) -> EngineContext:
    return EngineContext(settings, Scheduler("cores", settings.engines.cores))


@asynccontextmanager
async def _tts(settings: Settings, speech: Speech) -> AsyncIterator[Use]:
    async with open_synthesizer(_engine_context(settings), sources(settings)["tts"]) as synthesizer:
        yield lambda number: _say(synthesizer, short_text(number))


@asynccontextmanager
async def _reading(settings: Settings, speech: Speech) -> AsyncIterator[Use]:
    phonemes = await asyncio.to_thread(load_phonemes, settings.home / "lexicon.toml")
    release_freed()
    yield lambda number: asyncio.to_thread(phonemes, short_text(number))


@asynccontextmanager
async def _asr(settings: Settings, speech: Speech) -> AsyncIterator[Use]:
    async with open_recognizer(_engine_context(settings), sources(settings)["asr"]) as recognizer:
        yield lambda number: _recognize(recognizer, speech(number))


@asynccontextmanager
async def _captions(settings: Settings, speech: Speech) -> AsyncIterator[Use]:
    async with open_captioner(_engine_context(settings), sources(settings)["captions"]) as captioner:
        yield lambda number: _caption(captioner, speech(number), number)


@asynccontextmanager
async def _llm(settings: Settings, speech: Speech) -> AsyncIterator[Use]:
    async with open_language_model(_engine_context(settings), sources(settings)["llm"]) as model:
        yield lambda number: _reply(model, short_text(number), [])


@asynccontextmanager
async def _turn(settings: Settings, speech: Speech) -> AsyncIterator[Use]:
    async with open_turn_detector(_engine_context(settings), sources(settings)["turn"]) as detector:
        yield lambda number: detector.completeness(speech(number))


@asynccontextmanager
async def _vad(settings: Settings, speech: Speech) -> AsyncIterator[Use]:
    async with open_vad(_engine_context(settings), sources(settings)["vad"]) as make:

        async def use(number: int) -> None:
            detector, pcm = make(), speech(number)
            size = detector.frame_samples
            for start in range(0, len(pcm) - size + 1, size):
                detector.probability(pcm[start : start + size])

        yield use


@asynccontextmanager
async def _encoders(settings: Settings, speech: Speech) -> AsyncIterator[Use]:
    encoders = [
        await asyncio.to_thread(open_encoder, settings.weights_dir / name)
        for name in (*TRAINING_ENCODERS, EVAL_ENCODER)
    ]
    meter = open_meter(settings.analysis.meter)

    def use(number: int) -> None:
        pcm = speech(number)
        for encoder in encoders:
            encoder.embed(pcm, ASR_RATE)
        meter.voice(to_float(pcm), ASR_RATE)

    yield lambda number: asyncio.to_thread(use, number)


@asynccontextmanager
async def _all(settings: Settings, speech: Speech) -> AsyncIterator[Use]:
    """Open the server's engines and store; a use is one turn of one of three users, without pauses."""
    async with open_runtime(settings) as runtime:
        engines = runtime.engines
        histories: list[list[Message]] = [[] for _ in range(_PEOPLE)]

        async def use(number: int) -> None:
            pcm, text, history = speech(number), short_text(number), histories[number % _PEOPLE]
            _detect(engines, pcm)
            if engines.captioner is not None:
                await _caption(engines.captioner, pcm, number)
            if engines.turn_detector is not None:
                await engines.turn_detector.completeness(pcm)
            await _recognize(engines.recognizer, pcm)
            said = await _reply(engines.language_model, text, history)
            history += [Message(role="user", content=text), Message(role="assistant", content=said or "…")]
            del history[:-12]
            await _say(engines.synthesizer, text)

        yield use


PARTS: Final[Mapping[str, Opener]] = {
    "vad": _vad,
    "turn": _turn,
    "captions": _captions,
    "asr": _asr,
    "llm": _llm,
    "reading": _reading,
    "tts": _tts,
    "encoders": _encoders,
    "all": _all,
}


async def _measure(opener: Opener, speech: Speech, uses: int, every: int) -> dict[str, Any]:
    series: list[tuple[int, Held]] = []
    before, begun = held(), perf_counter()
    async with opener(Settings(), speech) as use:
        opened, opened_s = held(), perf_counter() - begun
        await use(0)
        first = held()
        for number in range(1, uses + 1):
            await use(number)
            if number % every == 0:
                series.append((number, held()))
        used = held()
        release_freed()
        released = held()
    stages = {"before": before, "opened": opened, "first": first, "used": used, "released": released}
    return {
        "stages": {name: asdict(stage) for name, stage in stages.items()},
        "series": [{"uses": number, **asdict(holding)} for number, holding in series],
        "opened_s": round(opened_s, 2),
    }


async def _make_speech(path: Path) -> None:
    settings = Settings()
    async with open_synthesizer(_engine_context(settings), sources(settings)["tts"]) as synthesizer:
        said = [await _say(synthesizer, short_text(number)) for number in range(SPOKEN)]
        np.save(path, np.concatenate([resample(pcm, synthesizer.sample_rate, ASR_RATE) for pcm in said]))


def main() -> None:
    """Measure one part and print."""
    parser = argparse.ArgumentParser(description="What one engine holds.")
    parser.add_argument("part", choices=(SPEECH, *PARTS))
    parser.add_argument("speech", type=Path)
    parser.add_argument("--uses", type=int, default=40)
    parser.add_argument("--every", type=int, default=10)
    args = parser.parse_args()
    if args.part == SPEECH:
        asyncio.run(_make_speech(args.speech))
        return
    measuring = partial(_measure, PARTS[args.part], Speech(args.speech))
    print(json.dumps(asyncio.run(measuring(args.uses, args.every))))


if __name__ == "__main__":
    main()
