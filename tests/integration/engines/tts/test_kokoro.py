"""Kokoro with its real weights."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from kuaimei.audio.loudness import SPEECH_DBFS, speech_level
from kuaimei.audio.pcm import EMPTY, Pcm, duration_ms
from kuaimei.audio.silence import sound_bounds
from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.tts.kokoro.assets import load_alphabet, load_voices
from kuaimei.engines.tts.kokoro.g2p_zh import Mandarin
from kuaimei.engines.tts.kokoro.runtime import RATE, SynthesisInput
from kuaimei.engines.tts.kokoro.runtime_selection import candidates, open_runtime
from kuaimei.engines.types import TTSReq
from kuaimei.errors import EngineError, WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

LONG = "今天的天氣非常好，我們一起去公園散步，看看那裡的花開了沒有，然後再去附近的餐廳吃一頓豐盛的午餐。"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kokoro(settings: Settings, kokoro_source: EngineSource) -> AsyncIterator[Synthesizer]:
    engine_context = EngineContext(settings, Scheduler("cores", settings.engines.cores))
    async with open_synthesizer(engine_context, kokoro_source) as synthesizer:
        yield synthesizer


async def said(kokoro: Synthesizer, text: str, **more: object) -> list[Pcm]:
    return [pcm async for pcm in kokoro.stream(TTSReq.model_validate({"text": text, **more}))]


async def test_the_default_voice_is_a_mandarin_one(kokoro: Synthesizer) -> None:
    assert kokoro.sample_rate == 24_000
    assert kokoro.voices[0].startswith("z")
    assert len(kokoro.voices) >= 8


@pytest.mark.parametrize("text", ["你好，", "我用 Python 寫程式。", "Nice to meet you!", "NT$1,200。"])
async def test_a_clause_is_speech_without_silence_at_its_ends(kokoro: Synthesizer, text: str) -> None:
    (pcm,) = await said(kokoro, text)
    bounds = sound_bounds(pcm, RATE)
    assert bounds is not None
    assert bounds[0] < 0.05 * RATE
    assert len(pcm) - bounds[1] < 0.35 * RATE
    assert speech_level(pcm, RATE) == pytest.approx(SPEECH_DBFS, abs=2.5)
    assert abs(int(pcm[0])) < 30
    assert abs(int(pcm[-1])) < 30


async def test_a_long_text_comes_in_clauses_that_join_without_clicks(kokoro: Synthesizer) -> None:
    pieces = await said(kokoro, LONG)
    assert len(pieces) >= 3
    joined = np.concatenate(pieces).astype(int)
    assert 8_000 < duration_ms(np.concatenate(pieces), RATE) < 16_000
    for border in np.cumsum([len(piece) for piece in pieces])[:-1]:
        assert np.abs(np.diff(joined[border - 50 : border + 50])).max() < 60


async def test_speed_is_heard(kokoro: Synthesizer) -> None:
    slow, fast = [np.concatenate(await said(kokoro, "今天天氣很好。", speed=speed)) for speed in (0.8, 1.5)]
    assert len(slow) > 1.3 * len(fast)


async def test_voices_differ_and_unknown_ones_are_refused(kokoro: Synthesizer) -> None:
    one, other = [np.concatenate(await said(kokoro, "你好。", voice_id=voice)) for voice in kokoro.voices[:2]]
    assert one.shape != other.shape or not np.array_equal(one, other)
    with pytest.raises(EngineError, match=kokoro.voices[0]):
        await said(kokoro, "你好。", voice_id="nobody")


async def test_requests_at_once_do_not_disturb_each_other(kokoro: Synthesizer) -> None:
    texts = ["你好。", "今天天氣很好。", "再見。"]
    alone = [np.concatenate([EMPTY, *await said(kokoro, text)]) for text in texts]
    together = await asyncio.gather(*(said(kokoro, text) for text in texts))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, np.concatenate([EMPTY, *other]))


async def test_every_runtime_says_the_same(settings: Settings, kokoro_source: EngineSource) -> None:
    assert kokoro_source.path is not None
    alphabet, voices = load_alphabet(kokoro_source.path), load_voices(kokoro_source.path)
    tokens = alphabet.tokens(Mandarin({})("今天天气很好") + ".")
    utterance = SynthesisInput(
        np.array([0, *tokens, 0], np.int64), voices.style(voices.names[0], len(tokens)), 1.0
    )
    waves = {}
    for name in candidates(settings, kokoro_source.path):
        runtime = open_runtime(name, kokoro_source.path, 2)
        wide, narrow = (runtime.render(utterance, alone=alone) for alone in (True, False))
        runtime.close()
        assert np.abs(wide).max() > 0.05
        assert len(wide) == len(narrow)
        waves[name] = wide
    assert max(map(len, waves.values())) - min(map(len, waves.values())) < 0.25 * RATE
    if "openvino-bf16" in waves:
        # In bfloat16 throughout, the two would have nothing in common.
        exact, rounded = waves["openvino-f32"], waves["openvino-bf16"]
        assert len(exact) == len(rounded)
        assert np.corrcoef(exact, rounded)[0, 1] > 0.98


async def test_a_missing_folder_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    engine_context = EngineContext(settings, Scheduler("cores", 2))
    for path in (None, tmp_path / "nothing", tmp_path):
        with pytest.raises(WeightsError, match="models pull kokoro"):
            async with open_synthesizer(engine_context, EngineSource("tts", "kokoro", "kokoro", path)):
                pass
