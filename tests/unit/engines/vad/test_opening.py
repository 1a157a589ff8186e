from pathlib import Path

import numpy as np
import pytest

from kuaimei.engines.registry import Workshop
from kuaimei.engines.scheduling import Lane
from kuaimei.engines.vad import open_vad
from kuaimei.errors import SettingsError
from kuaimei.models.source import Source
from kuaimei.settings import Settings


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(Settings(home=tmp_path), Lane("cores", 2))


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
async def test_every_stream_gets_a_detector_of_its_own(workshop: Workshop, engine: str) -> None:
    async with open_vad(workshop, Source("vad", engine, engine)) as make:
        one, other = make(), make()
        assert one is not other
        assert 0.0 <= one.probability(np.zeros(one.frame_samples, np.int16)) <= 1.0


async def test_an_unknown_engine_is_refused_with_the_known_ones(workshop: Workshop) -> None:
    with pytest.raises(SettingsError, match="silero, webrtc"):
        open_vad(workshop, Source("vad", "ears", "ears"))
