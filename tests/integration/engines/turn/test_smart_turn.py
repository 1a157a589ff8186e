"""Smart Turn with its real weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.scheduling import Lane
from kuaimei.engines.turn import open_turn_detector
from kuaimei.engines.workshop import Workshop
from kuaimei.models.source import Source
from kuaimei.settings import Settings

pytestmark = pytest.mark.models


async def test_a_finished_question_is_more_complete_than_its_beginning(spoken: Callable[..., Pcm]) -> None:
    settings = Settings()
    path: Path = settings.weights_dir / "smart-turn"
    workshop = Workshop(settings, Lane("cores", 2))
    whole = spoken("請問明天下午從臺北到高雄的火車還有座位嗎？")
    loud = np.flatnonzero(np.abs(whole.astype(np.int32)) > 500)
    part = whole[: (loud[0] + loud[-1]) // 2]
    pause = np.zeros(3200, np.int16)
    async with open_turn_detector(workshop, Source("turn", "smart-turn", "smart-turn", path)) as detector:
        finished = await detector.completeness(np.concatenate([whole[: loud[-1]], pause]))
        broken_off = await detector.completeness(np.concatenate([part, pause]))
        long = await detector.completeness(
            np.concatenate([np.zeros(200_000, np.int16), whole[: loud[-1]], pause])
        )
    assert 0.0 <= broken_off < finished - 0.2
    assert 0.5 < finished <= 1.0
    assert long == pytest.approx(finished, abs=0.2)  # what was before the last 8 s does not count
