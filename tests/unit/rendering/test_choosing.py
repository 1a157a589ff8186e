"""Which engine renders which voice, and what makes its rendering another one."""

import io
from pathlib import Path

import numpy as np
import pytest

from kuaimei.engines.scheduling import Lane
from kuaimei.engines.workshop import Workshop
from kuaimei.errors import EngineError, NotFound, WeightsError
from kuaimei.models.source import Source
from kuaimei.rendering.choosing import DECODER_FILE, STYLE_FILE, HqEngines
from kuaimei.settings import EngineSettings, RenderingSettings, Settings
from tests.fakes import FakeSynthesizer

FAR = Source("tts", "http://127.0.0.1:9/v1", "openai", url="http://127.0.0.1:9/v1")


def style(value: float = 0.5) -> bytes:
    file = io.BytesIO()
    np.save(file, np.full(256, value, np.float32))
    return file.getvalue()


class Files:
    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("_", "."): data for name, data in files.items()}
        self.asked: list[str] = []

    async def __call__(self, voice: str, name: str) -> bytes:
        self.asked.append(voice)
        if name not in self.files:
            raise NotFound(name)
        return self.files[name]


def engines(source: Source, files: Files | None = None, hq_voice: str = "") -> HqEngines:
    settings = Settings(
        rendering=RenderingSettings(hq_voice=hq_voice),
        engines=EngineSettings(tts_remote_model="any", tts_remote_voices=("alloy", "nova")),
    )
    return HqEngines(Workshop(settings, Lane("cores", 1)), source, files or Files())


@pytest.fixture
def kokoro(tmp_path: Path) -> Source:
    (tmp_path / "fp32.onnx").write_bytes(b"x" * 1000)
    return Source("tts", "kokoro", "kokoro", tmp_path)


async def test_a_far_engine_speaks_the_voices_it_knows() -> None:
    engine = await engines(FAR)("nova")
    async with engine.open() as synthesizer:
        assert engine.prepare(synthesizer) == "nova"
    assert engine.memory_mb < 10


async def test_a_far_engine_that_does_not_know_a_voice_gets_another_or_none() -> None:
    plain, with_substitute = await engines(FAR)("zf_a"), await engines(FAR, hq_voice="alloy")("zf_a")
    async with plain.open() as synthesizer:
        with pytest.raises(EngineError, match=r"HQ_VOICE.*alloy, nova"):
            plain.prepare(synthesizer)
        assert with_substitute.prepare(synthesizer) == "alloy"
    assert plain.version != with_substitute.version


async def test_stock_voices_share_a_network_and_ask_nobody(kokoro: Source) -> None:
    files = Files()
    one, other = await engines(kokoro, files)("zf_a"), await engines(kokoro, files)("zf_b")
    assert (one.key, one.version, one.memory_mb) == (other.key, other.version, other.memory_mb)
    assert files.asked == []
    assert one.prepare(FakeSynthesizer(voices=("zf_a",))) == "zf_a"


async def test_other_weights_make_another_rendering(kokoro: Source) -> None:
    before = await engines(kokoro)("zf_a")
    assert kokoro.path is not None
    (kokoro.path / "fp32.onnx").write_bytes(b"x" * 1001)
    assert (await engines(kokoro)("zf_a")).version != before.version
    (kokoro.path / "fp32.onnx").unlink()
    missing = await engines(kokoro)("zf_a")  # that it is missing is told when it is opened
    with pytest.raises(WeightsError):
        async with missing.open():
            pass


async def test_what_a_voice_has_learned_makes_another_rendering(kokoro: Source) -> None:
    predicted = await engines(kokoro, Files(style_npy=style(0.1)))("voice_a")
    inverted = await engines(kokoro, Files(style_npy=style(0.2)))("voice_a")
    adapted = await engines(kokoro, Files(style_npy=style(0.2), decoder_npz=b"a"))("voice_a")
    anew = await engines(kokoro, Files(style_npy=style(0.2), decoder_npz=b"b"))("voice_a")
    stock = await engines(kokoro)("zf_a")
    assert len({one.version for one in (stock, predicted, inverted, adapted, anew)}) == 5
    # A style needs no network of its own; a decoder does.
    assert stock.key == predicted.key == inverted.key
    assert len({stock.key, adapted.key, anew.key}) == 3


async def test_a_voice_that_is_gone_or_damaged_is_not_spoken(kokoro: Source) -> None:
    gone = await engines(kokoro, Files())("voice_a")
    with pytest.raises(EngineError, match="voice_a"):
        gone.prepare(FakeSynthesizer())
    with pytest.raises(WeightsError, match="anew"):
        await engines(kokoro, Files(style_npy=b"\x80\x04 not numbers"))("voice_a")
    assert (STYLE_FILE, DECODER_FILE) == ("style.npy", "decoder.npz")
