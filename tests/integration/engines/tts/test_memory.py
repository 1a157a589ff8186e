"""The synthesiser does not grow with every text of a new length, and sounds as if it did."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.memory_figures import held
from kuaimei.engines.tts.kokoro.assets import Voices, load_voices
from kuaimei.engines.tts.kokoro.openvino import OpenVino
from kuaimei.engines.tts.kokoro.runtime import SynthesisInput
from kuaimei.engines.tts.kokoro.runtime_selection import candidates
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings
from kuaimei.system.memory import release_freed

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

FIRST = (100, *range(10, 60, 5))
"""Lengths after which it has what it needs: room for the longest text, weights in every order it wants."""
TEXTS = 40
MOST_MB = 60.0
"""Over all of `TEXTS`; it was 25 MB, and 410 MB with everything kept."""
ALL_KEPT = 5000


@pytest.fixture(scope="module")
def voices(kokoro_source: EngineSource) -> Voices:
    assert kokoro_source.path is not None
    return load_voices(kokoro_source.path)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def network(settings: Settings, kokoro_source: EngineSource, cache: Path) -> Iterator[OpenVino]:
    opened = open_network(settings, kokoro_source, cache)
    yield opened
    opened.close()


def open_network(settings: Settings, source: EngineSource, cache: Path, **more: int) -> OpenVino:
    assert source.path is not None
    fast = "openvino-bf16" in candidates(settings, source.path)
    return OpenVino(source.path / "fp32.onnx", 2, "bf16" if fast else "f32", cache, **more)


def piece(voices: Voices, length: int, seed: int = 0) -> SynthesisInput:
    tokens = np.zeros(length + 2, np.int64)
    tokens[1:-1] = np.random.default_rng((length, seed)).choice(np.arange(43, 70), length)
    return SynthesisInput(tokens, voices.style(voices.names[0], length), 1.0)


def anonymous_mb() -> float:
    release_freed()
    return held().anonymous


def test_texts_of_new_lengths_do_not_make_it_grow(network: OpenVino, voices: Voices) -> None:
    for length in FIRST:
        network.render(piece(voices, length), alone=True)
    before = anonymous_mb()
    for number in range(TEXTS):
        network.render(piece(voices, 10 + number, seed=1), alone=True)
    assert anonymous_mb() - before < MOST_MB


def test_weights_that_were_copied_do_not_stay_mapped(network: OpenVino, voices: Voices) -> None:
    network.render(piece(voices, 20), alone=True)
    before = held().mapped
    network.settle()
    assert before - held().mapped > 200.0
    network.render(piece(voices, 21), alone=True)
    assert before - held().mapped > 150.0


def test_few_kept_operations_leave_the_sound_as_it_is(
    settings: Settings, kokoro_source: EngineSource, cache: Path, network: OpenVino, voices: Voices
) -> None:
    keeping = open_network(settings, kokoro_source, cache, kept_kernels=ALL_KEPT)
    try:
        for length in (20, 33, 47, 20):
            one, other = (made.render(piece(voices, length), alone=True) for made in (network, keeping))
            assert np.array_equal(one, other)
    finally:
        keeping.close()
