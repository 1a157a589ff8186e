"""Scores follow the speaker: a clip of the real Kokoro, spoken otherwise in steps."""

from collections.abc import AsyncIterator, Callable

import pytest

from kuaimei.analysis.head import shipped_head
from kuaimei.analysis.scoring import score
from kuaimei.analysis.types import SCORES, Explained
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.engines.prosody import open_meter
from kuaimei.engines.vad import open_vad
from kuaimei.evaluation.analysis_reliability import Clip, follow
from kuaimei.evaluation.runs.analysis import FeatureExtractor
from kuaimei.evaluation.speech_transforms import SERIES, STEPS
from kuaimei.evaluation.synthetic_speech import add_room_noise
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings

pytestmark = pytest.mark.models

_READY_ZH = "我覺得這個計畫可以開始了。資料都準備好了，明天早上就送出去。"
_READY_EN = "I think we are ready to start. Everything is prepared for tomorrow morning."
SAID = {
    "zf_xiaoxiao": _READY_ZH,
    "zm_yunjian": _READY_ZH,
    "zm_yunxi": "今天的會議改到下午三點。麻煩你先把報告寄給大家，我們等一下再討論。",
    "af_heart": _READY_EN,
    "am_michael": _READY_EN,
}
"""Enough that the mean follows, which is what is promised: a creaky voice alone need not."""


@pytest.fixture
async def ear(settings: Settings) -> AsyncIterator[FeatureExtractor]:
    async with open_engine(settings, "vad", open_vad) as vad:
        yield FeatureExtractor(vad, open_meter("own"))


@pytest.fixture
def clips(spoken: Callable[..., Pcm]) -> list[Clip]:
    return [
        Clip(voice, add_room_noise(spoken(text, voice), ASR_RATE), ASR_RATE, text, None, voice)
        for voice, text in SAID.items()
    ]


async def test_speech_is_scored(ear: FeatureExtractor, clips: list[Clip]) -> None:
    for clip in clips:
        found = score(ear(clip, clip.pcm, clip.rate), shipped_head())
        assert isinstance(found, Explained)
        for name in SCORES:
            assert 0.05 < getattr(found.score, name) < 0.95
            assert len(found.contributions[name]) == len(shipped_head().weights[name])  # nothing is missing
    assert 0.0 < ear.ms_per_s < 1000.0


@pytest.mark.parametrize("name", SERIES)
async def test_each_step_moves_the_score_where_it_has_to(
    ear: FeatureExtractor, clips: list[Clip], name: str
) -> None:
    followed = follow(clips, SERIES[name], STEPS, ear, shipped_head())
    assert followed.follows, followed.values
    assert abs(followed.means[-1] - followed.means[0]) > 0.15
