"""The beautiful Kokoro with its real weights."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.onnx_sessions import open_session
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts.kokoro.assets import load_alphabet, load_voices
from kuaimei.engines.tts.kokoro.clause_synthesis import ClauseSynthesizer
from kuaimei.engines.tts.kokoro.g2p import load_phonemes
from kuaimei.engines.tts.kokoro.hq import KokoroHq, open_hq
from kuaimei.engines.tts.kokoro.runtime import SynthesisInput
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.errors import WeightsError
from kuaimei.models.onnx_reader import read_onnx
from kuaimei.models.source import EngineSource
from kuaimei.models.weight_delta import LowRankFactor, WeightDelta, save_difference
from kuaimei.settings import Settings

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

TEXT = "今天天氣很好。"
CHANGED = "decoder.decoder.generator.conv_post.bias"


@pytest.fixture(scope="module")
def scheduler() -> Scheduler:
    return Scheduler("cores", 2)


@pytest.fixture(scope="module")
def engine_context(settings: Settings, scheduler: Scheduler) -> EngineContext:
    return EngineContext(settings, scheduler)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hq(
    engine_context: EngineContext, kokoro_source: EngineSource, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[KokoroHq]:
    nothing = difference(tmp_path_factory.mktemp("hq") / "nothing.npz", {})
    async with open_hq(engine_context, kokoro_source, nothing) as engine:
        yield engine


async def said(engine: KokoroHq, text: str = TEXT) -> list[Pcm]:
    return [pcm async for pcm in engine.stream(TTSReq(text=text, mode="hq"))]


def fp32(source: EngineSource) -> Path:
    assert source.path is not None
    return source.path / "fp32.onnx"


def difference(path: Path, changes: dict[str, LowRankFactor]) -> Path:
    with path.open("wb") as file:
        save_difference(file, WeightDelta(changes))
    return path


def straight(source: EngineSource, network: Path) -> Pcm:
    """As computed by a session of its own, straight from the file."""
    assert source.path is not None
    session = open_session(network, threads=1)
    voicing = ClauseSynthesizer(load_alphabet(source.path), load_voices(source.path), load_phonemes(None))

    def render(piece: SynthesisInput) -> NDArray[np.float32]:
        samples: NDArray[np.float32] = session.run(None, piece.inputs("input_ids"))[0].reshape(-1)
        return samples

    return voicing.speak(TEXT, voicing.styles(), 1.0, render)


async def test_with_an_empty_difference_it_is_the_exact_network(
    hq: KokoroHq, kokoro_source: EngineSource
) -> None:
    (pcm,) = await said(hq)
    assert np.array_equal(pcm, straight(kokoro_source, fp32(kokoro_source)))


async def test_a_difference_changes_the_network_as_a_changed_file_would(
    hq: KokoroHq, engine_context: EngineContext, kokoro_source: EngineSource, tmp_path: Path
) -> None:
    stock = read_onnx(fp32(kokoro_source)).tensors[CHANGED]
    added = np.linspace(-0.5, 0.5, len(stock), dtype=np.float16).astype(np.float32)
    change = LowRankFactor(added.reshape(-1, 1), np.ones((1, 1), np.float32))
    async with open_hq(
        engine_context, kokoro_source, difference(tmp_path / "d.npz", {CHANGED: change})
    ) as other:
        (after,) = await said(other)
    assert not np.array_equal(after, (await said(hq))[0])
    data = fp32(kokoro_source).read_bytes()
    old = stock.astype("<f4").tobytes()
    at = data.index(old)
    patched = tmp_path / "patched.onnx"
    patched.write_bytes(data[:at] + (stock + added).astype("<f4").tobytes() + data[at + len(old) :])
    assert np.array_equal(after, straight(kokoro_source, patched))
    patched.unlink()


@pytest.mark.parametrize("name", ["no.such.weight", CHANGED])
async def test_a_difference_to_other_weights_is_refused(
    engine_context: EngineContext, kokoro_source: EngineSource, tmp_path: Path, name: str
) -> None:
    wrong = LowRankFactor(np.ones((7, 1), np.float32), np.ones((1, 1), np.float32))
    path = difference(tmp_path / "wrong.npz", {name: wrong})
    with pytest.raises(WeightsError, match="another version of Kokoro"):
        async with open_hq(engine_context, kokoro_source, path):
            pass


async def test_it_stops_in_the_middle_for_whoever_is_more_important(
    hq: KokoroHq, scheduler: Scheduler
) -> None:
    text = "我們一起去公園散步，看看那裡的花開了沒有。"
    before = hq.given_way
    speaking = asyncio.ensure_future(said(hq, text))
    for _ in range(10):
        await asyncio.sleep(0)
    assert scheduler.busy == 1
    async with scheduler.acquire(Ticket(session="live", priority=Priority.LIVE), 2):
        assert not speaking.done()
    (pcm,) = await speaking
    assert hq.given_way == before + 1
    (again,) = await said(hq, text)
    assert np.array_equal(pcm, again)
