from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor  # type: ignore[import-untyped]

from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.turn import open_turn_detector
from kuaimei.engines.turn.smart_turn import SmartTurn, window
from kuaimei.engines.types import Priority, Ticket
from kuaimei.errors import QueueFull, SettingsError, WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings
from tests.support.virtual_time import virtually


class Network:
    def __init__(self, answer: float = 0.75) -> None:
        self.answer = answer
        self.inputs: list[np.ndarray] = []

    def run(self, output_names: list[str] | None, input_feed: dict[str, Any]) -> list[Any]:
        self.inputs.append(input_feed["input_features"])
        return [np.array([[self.answer]], np.float32)]


def _detector(network: Network, cores: Scheduler) -> SmartTurn:
    return SmartTurn(network, FeatureExtractor(chunk_length=8), cores)


def test_short_speech_is_padded_on_the_left_and_normalised() -> None:
    speech = np.random.default_rng(0).normal(0, 3000, 16_000).astype(np.int16)
    samples = window(speech)
    assert samples.shape == (128_000,)
    assert np.ptp(samples[:112_000]) == 0.0  # what was not said is flat
    assert samples.mean() == pytest.approx(0.0, abs=1e-4)
    assert samples.std() == pytest.approx(1.0, abs=1e-3)
    assert np.corrcoef(samples[-16_000:], speech)[0, 1] > 0.9999


def test_only_the_last_eight_seconds_count() -> None:
    speech = np.random.default_rng(0).normal(0, 3000, 200_000).astype(np.int16)
    np.testing.assert_array_equal(window(speech), window(speech[-128_000:]))


def test_silence_and_nothing_are_harmless() -> None:
    assert np.isfinite(window(np.zeros(16_000, np.int16))).all()
    assert np.isfinite(window(np.zeros(0, np.int16))).all()


async def test_the_network_sees_eight_seconds_of_mel() -> None:
    network = Network(0.75)
    answer = await _detector(network, Scheduler("cores", 2)).completeness(np.ones(5000, np.int16))
    assert answer == 0.75
    assert network.inputs[0].shape == (1, 80, 800)
    assert network.inputs[0].dtype == np.float32


async def test_an_answer_outside_the_unit_interval_is_clipped() -> None:
    assert (
        await _detector(Network(1.0001), Scheduler("cores", 2)).completeness(np.ones(5000, np.int16)) == 1.0
    )


@virtually
async def test_it_gives_up_when_no_core_comes_free() -> None:
    cores = Scheduler("cores", 2)
    detector = _detector(Network(), cores)
    async with cores.acquire(Ticket(priority=Priority.SPECULATIVE), 2):
        with pytest.raises(QueueFull):
            await detector.completeness(np.ones(5000, np.int16))
    assert cores.busy == 0


async def test_opening_needs_weights_and_a_known_name(tmp_path: Path) -> None:
    engine_context = EngineContext(Settings(home=tmp_path), Scheduler("cores", 2))
    with pytest.raises(WeightsError, match="are not installed"):
        async with open_turn_detector(engine_context, EngineSource("turn", "smart-turn", "smart-turn")):
            pass
    with pytest.raises(WeightsError, match="there is no ONNX model"):
        async with open_turn_detector(
            engine_context, EngineSource("turn", "smart-turn", "smart-turn", tmp_path)
        ):
            pass
    with pytest.raises(SettingsError):
        open_turn_detector(engine_context, EngineSource("turn", "oracle", "oracle"))
