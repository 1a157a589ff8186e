"""Smart Turn with its real weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.turn import open_turn_detector
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings

pytestmark = pytest.mark.models


async def test_a_finished_question_is_complete_whatever_was_before_it(spoken: Callable[..., Pcm]) -> None:
    """Where a synthetic voice breaks off, the network's opinion is worth little: that is not asked here."""
    settings = Settings()
    path: Path = settings.weights_dir / "smart-turn"
    engine_context = EngineContext(settings, Scheduler("cores", 2))
    whole = spoken("請問明天下午從臺北到高雄的火車還有座位嗎？", "zf_xiaobei")
    loud = np.flatnonzero(np.abs(whole.astype(np.int32)) > 500)
    end = loud[-1]
    pause = np.zeros(1600, np.int16)
    async with open_turn_detector(
        engine_context, EngineSource("turn", "smart-turn", "smart-turn", path)
    ) as detector:
        finished = await detector.completeness(np.concatenate([whole[:end], pause]))
        long = await detector.completeness(np.concatenate([np.zeros(200_000, np.int16), whole[:end], pause]))
    assert 0.5 < finished <= 1.0
    assert long == pytest.approx(finished, abs=0.2)  # only the last 8 s count
