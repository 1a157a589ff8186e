from pathlib import Path

import numpy as np
import pytest

from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.vad import open_vad
from kuaimei.errors import SettingsError
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings


@pytest.fixture
def engine_context(tmp_path: Path) -> EngineContext:
    return EngineContext(Settings(home=tmp_path), Scheduler("cores", 2))


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
async def test_every_stream_gets_a_detector_of_its_own(engine_context: EngineContext, engine: str) -> None:
    async with open_vad(engine_context, EngineSource("vad", engine, engine)) as make:
        one, other = make(), make()
        assert one is not other
        assert 0.0 <= one.probability(np.zeros(one.frame_samples, np.int16)) <= 1.0


async def test_an_unknown_engine_is_refused_with_the_known_ones(engine_context: EngineContext) -> None:
    with pytest.raises(SettingsError, match="silero, webrtc"):
        open_vad(engine_context, EngineSource("vad", "ears", "ears"))
