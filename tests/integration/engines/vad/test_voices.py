"""The detectors on real speech, made by the synthesiser."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.protocols import VoiceActivityDetector
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.vad import open_vad
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings

pytestmark = pytest.mark.models


def _voiced(vad: VoiceActivityDetector, pcm: Pcm) -> list[bool]:
    size = vad.frame_samples
    return [vad.probability(pcm[at : at + size]) >= 0.5 for at in range(0, len(pcm) - size + 1, size)]


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
async def test_speech_between_silences_is_found_to_a_tenth_of_a_second(
    engine: str, spoken: Callable[..., Pcm], tmp_path: Path
) -> None:
    speech = spoken("今天天氣很好，我們出去走走吧。")
    loud = np.flatnonzero(np.abs(speech.astype(np.int32)) > 500)
    floor = np.random.default_rng(0).normal(0, 5, 16_000).astype(np.int16)
    pcm = np.concatenate([floor, speech, floor])
    engine_context = EngineContext(Settings(home=tmp_path), Scheduler("cores", 2))
    async with open_vad(engine_context, EngineSource("vad", engine, engine)) as make:
        vad = make()
        voiced = np.flatnonzero(_voiced(vad, pcm)) * vad.frame_samples / 16_000
    begins, ends = 1.0 + loud[0] / 16_000, 1.0 + loud[-1] / 16_000
    assert voiced[0] == pytest.approx(begins, abs=0.2)
    assert voiced[-1] == pytest.approx(ends, abs=0.35)
    assert len(voiced) * vad.frame_samples / 16_000 > 0.7 * (ends - begins)


async def test_noise_and_hum_are_no_speech_to_silero(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 600, 32_000).astype(np.int16)
    hum = (3000 * np.sin(2 * np.pi * 50 * np.arange(32_000) / 16_000)).astype(np.int16)
    engine_context = EngineContext(Settings(home=tmp_path), Scheduler("cores", 2))
    async with open_vad(engine_context, EngineSource("vad", "silero", "silero")) as make:
        for sound in (noise, hum):
            assert not any(_voiced(make(), sound))
