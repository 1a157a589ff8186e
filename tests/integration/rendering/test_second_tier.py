"""A reply rendered a second time by the real exact Kokoro, in a stock voice and in a learned one."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.silence import frame_levels
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts.kokoro.assets import load_voices
from kuaimei.errors import NotFound
from kuaimei.models.source import EngineSource
from kuaimei.rendering.broadcast import Announcements, Ready
from kuaimei.rendering.engine_selection import HqEngineSelector
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.rendering.renderer import Renderer, RenderingCounts
from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store.renderings import RenderingTask
from kuaimei.store.rows import Boundary, Rendering

pytestmark = pytest.mark.models

TEXT = "今天臺北多雲，下午可能會下雨。出門記得要帶傘，也多穿件衣服。"
CLAUSES = ("今天臺北多雲，", "下午可能會下雨。", "出門記得要帶傘，", "也多穿件衣服。")
CLONED = "voice_test"


@dataclass
class OneReply:
    """Asked for once."""

    voice: str
    kept: list[tuple[Pcm, int, str, tuple[Boundary, ...]]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def begin(self, utterance: str) -> RenderingTask | None:
        return RenderingTask(utterance, "sess_a", 1, self.voice, 1.0, TEXT, CLAUSES, 1, "")

    async def wanted(self, utterance: str) -> bool:
        return True

    async def has_pending_transcription(self) -> bool:
        return False

    async def save(
        self,
        order: RenderingTask,
        pcm: Pcm,
        rate: int,
        *,
        engine: str,
        clauses: Sequence[Boundary],
        took_s: float,
    ) -> Rendering | None:
        self.kept.append((pcm, rate, engine, tuple(clauses)))
        ms = len(pcm) * 1000.0 / rate
        return Rendering("ready", order.voice, engine, ms, rate, 1, "", tuple(clauses), None)

    async def mark_ready(self, order: RenderingTask) -> None:
        raise AssertionError

    async def fail(self, order: RenderingTask, why: str, *, final: bool) -> None:
        self.failed.append(why)


@dataclass
class Files:
    """What a cloned voice has learned."""

    files: dict[str, bytes] = field(default_factory=dict)

    async def get(self, voice: str) -> "Files":
        if not self.files:
            raise NotFound(f"{voice} is not kept")
        return self

    @property
    def transcript(self) -> str | None:
        return "你好"

    async def file(self, voice: str, name: str) -> bytes:
        assert voice == CLONED
        if name not in self.files:
            raise NotFound(f"{voice} has no {name}")
        return self.files[name]


@pytest.fixture(scope="module")
def kokoro(settings: Settings, kokoro_source: EngineSource) -> EngineSource:
    assert kokoro_source.path is not None
    if not (kokoro_source.path / "fp32.onnx").is_file():
        pytest.fail(f"there is no fp32.onnx in {kokoro_source.path}: run make setup", pytrace=False)
    return kokoro_source


def make_engines(kokoro: EngineSource, files: Files, **rendering: str) -> HqEngineSelector:
    settings = Settings(rendering=RenderingSettings.model_validate(rendering))
    return HqEngineSelector(EngineContext(settings, Scheduler("cores", 2)), kokoro, files)


async def render(
    engines: HqEngineSelector, model_cache: ModelCache, voice: str
) -> tuple[OneReply, RenderingCounts, list[Ready]]:
    reply, counts, told = OneReply(voice), RenderingCounts(), list[Ready]()
    announcements = Announcements()
    renderer = Renderer(reply, engines, model_cache, IdleMonitor(), announcements, counts)
    with announcements.subscribe("sess_a", told.append):
        await renderer("utt_a")
    return reply, counts, told


def style_of(folder: Path, voice: str) -> bytes:
    """A single row of a stock voice's table, as learning leaves one behind."""
    file = io.BytesIO()
    np.save(file, load_voices(folder).stock[voice][40])
    return file.getvalue()


async def test_a_reply_in_a_stock_voice_and_in_a_learned_one(kokoro: EngineSource) -> None:
    assert kokoro.path is not None
    names = load_voices(kokoro.path).names
    files = Files({"style.npy": style_of(kokoro.path, names[1])})
    engines = make_engines(kokoro, files)
    async with ModelCache(2048.0) as model_cache:
        stock, counts, told = await render(engines, model_cache, names[0])
        learned, _, _ = await render(engines, model_cache, CLONED)
        assert model_cache.counters.loads == 1  # one network speaks both: only their styles differ
        # Its owner deletes it: what is loaded could still speak in it, and must not.
        files.files.clear()
        gone, _, _ = await render(engines, model_cache, CLONED)
    assert (gone.kept, len(gone.failed)) == ([], 1)

    ((pcm, rate, version, clauses),) = stock.kept
    ((other, _, other_version, _),) = learned.kept
    assert rate == 24_000
    assert 4.0 < len(pcm) / rate < 11.0
    assert counts.audio_s == pytest.approx(len(pcm) / rate)
    assert [one.utterance for one in told] == ["utt_a"]
    assert other_version.startswith(version.removesuffix(" r1"))
    assert other_version != version
    shorter = min(len(pcm), len(other))
    assert np.corrcoef(pcm[:shorter], other[:shorter])[0, 1] < 0.5  # it is another voice

    assert [clause.index for clause in clauses] == [0, 1, 2, 3]
    assert clauses[-1].end_ms == pytest.approx(len(pcm) / 24.0, abs=0.1)
    loud = frame_levels(pcm, rate)
    for clause in clauses[1:]:  # it begins in a pause, or where a sentence does
        frame = round(clause.start_ms / 5.0)
        assert loud[max(0, frame - 2) : frame + 3].min() < loud.max() - 20.0
    lengths = np.array([clause.end_ms - clause.start_ms for clause in clauses])
    wanted = np.array([len(clause) for clause in CLAUSES])
    assert np.all(np.abs(lengths / lengths.sum() - wanted / wanted.sum()) < 0.12)


async def test_a_voice_it_does_not_know_is_told_or_stood_in_for(kokoro: EngineSource) -> None:
    assert kokoro.path is not None
    name = load_voices(kokoro.path).names[0]
    async with ModelCache(2048.0) as model_cache:
        unknown, counts, _ = await render(make_engines(kokoro, Files()), model_cache, "alloy")
        assert counts.failed == 1
        assert "KUAIMEI_RENDERING__HQ_VOICE" in unknown.failed[0]
        stood_in = await make_engines(kokoro, Files(), hq_voice=name)("alloy")
        async with model_cache.use(stood_in.key, stood_in.memory_mb, stood_in.open) as synthesizer:
            assert stood_in.prepare(synthesizer) == name


async def test_a_decoder_that_is_damaged_is_told(kokoro: EngineSource) -> None:
    assert kokoro.path is not None
    name = load_voices(kokoro.path).names[0]
    files = Files({"style.npy": style_of(kokoro.path, name), "decoder.npz": b"not a decoder"})
    async with ModelCache(2048.0) as model_cache:
        reply, _, _ = await render(make_engines(kokoro, files), model_cache, CLONED)
        assert "train the voice again" in reply.failed[0]
        files.files["style.npy"] = b"not a style"
        reply, _, _ = await render(make_engines(kokoro, files), model_cache, CLONED)
        assert "train the voice again" in reply.failed[0]
    assert model_cache.used_mb == 0.0
