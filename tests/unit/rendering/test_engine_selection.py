"""Which engine renders which voice, and what makes its rendering another one."""

import asyncio
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.errors import EngineError, NotFound, WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.rendering.engine_selection import HqEngineSelector
from kuaimei.settings import EngineSettings, RenderingSettings, Settings
from tests.support.fakes import FakeSynthesizer

FAR = EngineSource("tts", "http://127.0.0.1:9/v1", "openai", url="http://127.0.0.1:9/v1")


def style(value: float = 0.5) -> bytes:
    file = io.BytesIO()
    np.save(file, np.full(256, value, np.float32))
    return file.getvalue()


class Files:
    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("_", "."): data for name, data in files.items()}
        self.asked: list[str] = []

    async def get(self, voice: str) -> "Files":
        if not self.files:
            raise NotFound(voice)
        return self

    @property
    def transcript(self) -> str | None:
        return "一段話"

    async def file(self, voice: str, name: str) -> bytes:
        self.asked.append(voice)
        if name not in self.files:
            raise NotFound(name)
        return self.files[name]


def engines(source: EngineSource, files: Files | None = None, hq_voice: str = "") -> HqEngineSelector:
    settings = Settings(
        rendering=RenderingSettings(hq_voice=hq_voice),
        engines=EngineSettings(tts_remote_model="any", tts_remote_voices=("alloy", "nova")),
    )
    return HqEngineSelector(EngineContext(settings, Scheduler("cores", 1)), source, files or Files())


@pytest.fixture
def kokoro(tmp_path: Path) -> EngineSource:
    (tmp_path / "fp32.onnx").write_bytes(b"x" * 1000)
    return EngineSource("tts", "kokoro", "kokoro", tmp_path)


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


async def test_stock_voices_share_a_network_and_ask_nobody(kokoro: EngineSource) -> None:
    files = Files()
    one, other = await engines(kokoro, files)("zf_a"), await engines(kokoro, files)("zf_b")
    assert (one.key, one.version, one.memory_mb) == (other.key, other.version, other.memory_mb)
    assert files.asked == []
    assert one.prepare(FakeSynthesizer(voices=("zf_a",))) == "zf_a"


async def test_other_weights_make_another_rendering(kokoro: EngineSource) -> None:
    before = await engines(kokoro)("zf_a")
    assert kokoro.path is not None
    (kokoro.path / "fp32.onnx").write_bytes(b"x" * 1001)
    assert (await engines(kokoro)("zf_a")).version != before.version
    (kokoro.path / "fp32.onnx").unlink()
    missing = await engines(kokoro)("zf_a")  # that it is missing is told when it is opened
    with pytest.raises(WeightsError):
        async with missing.open():
            pass


async def test_what_a_voice_has_learned_makes_another_rendering(kokoro: EngineSource) -> None:
    predicted = await engines(kokoro, Files(style_npy=style(0.1)))("voice_a")
    inverted = await engines(kokoro, Files(style_npy=style(0.2)))("voice_a")
    adapted = await engines(kokoro, Files(style_npy=style(0.2), decoder_npz=b"a"))("voice_a")
    anew = await engines(kokoro, Files(style_npy=style(0.2), decoder_npz=b"b"))("voice_a")
    stock = await engines(kokoro)("zf_a")
    assert len({one.version for one in (stock, predicted, inverted, adapted, anew)}) == 5
    # A style needs no network of its own; a decoder does.
    assert stock.key == predicted.key == inverted.key
    assert len({stock.key, adapted.key, anew.key}) == 3


async def test_a_voice_that_is_gone_or_damaged_is_not_spoken(kokoro: EngineSource) -> None:
    gone = await engines(kokoro, Files())("voice_a")
    with pytest.raises(EngineError, match="voice_a"):
        gone.prepare(FakeSynthesizer())
    with pytest.raises(WeightsError, match="again"):
        await engines(kokoro, Files(style_npy=b"\x80\x04 not numbers"))("voice_a")


@dataclass
class Borrower(FakeSynthesizer):
    """Speaks in the voices of recordings."""

    references: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    put: int = 0

    def put_reference(self, voice_id: str, audio: bytes, transcript: str) -> None:
        self.references[voice_id] = audio, transcript
        self.voices = (*self.voices, voice_id)
        self.put += 1

    def drop_voice(self, voice_id: str) -> None:
        del self.references[voice_id]
        self.voices = tuple(voice for voice in self.voices if voice != voice_id)


async def test_a_far_engine_is_lent_the_recording_of_a_cloned_voice_once() -> None:
    files = Files(reference_flac=b"sound")
    chooser = engines(FAR, files)
    synthesizer = Borrower()
    for _ in range(2):
        engine = await chooser("voice_a")
        assert engine.prepare(synthesizer) == "voice_a"
    assert (synthesizer.references, synthesizer.put) == ({"voice_a": (b"sound", "一段話")}, 1)
    files.files["reference.flac"] = b"another"
    newer = await chooser("voice_a")
    newer.prepare(synthesizer)
    assert synthesizer.references["voice_a"][0] == b"another"
    assert newer.version != engine.version


async def test_what_is_loaded_forgets_a_voice_that_is_gone() -> None:
    files = Files(reference_flac=b"sound")
    chooser = engines(FAR, files)
    synthesizer = Borrower()
    (await chooser("voice_a")).prepare(synthesizer)
    chooser.changed("voice_a")
    await asyncio.gather(*chooser._looking)
    assert "voice_a" in synthesizer.references  # it only sounds different
    files.files.clear()
    chooser.changed("voice_a")
    await asyncio.gather(*chooser._looking)
    assert synthesizer.references == {}
    with pytest.raises(EngineError):
        (await chooser("voice_a")).prepare(synthesizer)
