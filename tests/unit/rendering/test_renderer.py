"""The job of a reply's second rendering, on virtual time, with engines that cost nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.silence import silence
from kuaimei.dialogue.events import SpeechRejected, SpeechStarted
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.types import Priority
from kuaimei.errors import EngineError, EngineUnavailable, KuaimeiError, StoreError
from kuaimei.rendering.broadcast import Announcements, Ready
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.rendering.renderer import HqEngine, Renderer, RenderingCounts
from kuaimei.store.renderings import RenderingTask
from kuaimei.store.rows import Boundary, Rendering
from tests.support.fakes import FakeSynthesizer
from tests.support.virtual_time import START, virtually

TEXT = "今天臺北多雲，氣溫二十五度，傍晚可能會下雨。出門的時候記得要帶傘，也要多穿一件外套！"
ORDER = RenderingTask(
    "utt_a", "sess_a", 3, "zf_a", 1.25, TEXT, ("今天臺北多雲，", "氣溫二十五度，傍晚可能會下雨。"), 1, ""
)


@dataclass
class Orders:
    """Keeps what is given to it."""

    order: RenderingTask | None = ORDER
    unwanted_after: int = 100
    before_us: int = 0
    failure: Exception | None = None
    kept: list[tuple[Pcm, int, str, list[Boundary]]] = field(default_factory=list)
    settled: int = 0
    failed: list[tuple[str, bool]] = field(default_factory=list)

    async def begin(self, utterance: str) -> RenderingTask | None:
        assert utterance == "utt_a"
        return self.order

    async def wanted(self, utterance: str) -> bool:
        self.unwanted_after -= 1
        return self.unwanted_after >= 0

    async def has_pending_transcription(self) -> bool:
        self.before_us -= 1
        return self.before_us >= 0

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
        if self.failure is not None:
            raise self.failure
        if self.unwanted_after < 0:
            return None
        self.kept.append((pcm, rate, engine, list(clauses)))
        ms = len(pcm) * 1000.0 / rate
        return Rendering("ready", order.voice, engine, ms, rate, 1, "", tuple(clauses), None)

    async def mark_ready(self, order: RenderingTask) -> None:
        self.settled += 1

    async def fail(self, order: RenderingTask, why: str, *, final: bool) -> None:
        self.failed.append((why, final))


class Loud(FakeSynthesizer):
    """With an audible end: what is silent would be taken for a pause."""

    def audio(self, text: str) -> Pcm:
        return np.full(max(1, round(len(text) * self.character_ms * 24)), 9000, np.int16)


@dataclass
class Bench:
    """A renderer and everything around it."""

    orders: Orders = field(default_factory=Orders)
    synthesizer: FakeSynthesizer = field(default_factory=lambda: Loud(voices=("zf_a",), delay_s=2.0))
    idle_monitor: IdleMonitor = field(default_factory=lambda: IdleMonitor(settle_s=0.5))
    counts: RenderingCounts = field(default_factory=RenderingCounts)
    told: list[Ready] = field(default_factory=list)
    loading: Exception | None = None
    opened: int = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FakeSynthesizer]:
        if self.loading is not None:
            raise self.loading
        self.opened += 1
        yield self.synthesizer

    async def engine_for(self, voice: str) -> HqEngine:
        return HqEngine("fake", "fake 1", 500.0, self.open, lambda synthesizer: voice)

    async def render(self) -> None:
        announcements = Announcements()
        async with ModelCache(1000.0) as model_cache:
            renderer = Renderer(
                self.orders, self.engine_for, model_cache, self.idle_monitor, announcements, self.counts
            )
            with announcements.subscribe("sess_a", self.told.append):
                await renderer("utt_a")


def now() -> float:
    return asyncio.get_running_loop().time()


@virtually
async def test_a_reply_is_rendered_sentence_by_sentence_kept_and_told() -> None:
    bench = Bench()
    await bench.render()
    requests = bench.synthesizer.requests
    assert [r.text for r in requests] == [TEXT[:22], TEXT[22:]]
    assert {(r.voice_id, r.mode, r.speed) for r in requests} == {("zf_a", "hq", 1.25)}
    assert {(r.ticket.session, r.ticket.priority) for r in requests} == {("sess_a", Priority.BACKGROUND)}
    ((pcm, rate, engine, clauses),) = bench.orders.kept
    assert (rate, engine) == (24_000, "fake 1")
    pause = silence(220.0, 24_000)
    parts = [bench.synthesizer.audio(TEXT[:22]), pause, bench.synthesizer.audio(TEXT[22:]), pause]
    np.testing.assert_array_equal(pcm, np.concatenate(parts))
    # The last clause had not been spoken when the reply was cut off: it has a place of its own.
    assert [c.index for c in clauses] == [0, 1, 2]
    assert [c.start_ms for c in clauses[1:]] == [c.end_ms for c in clauses[:-1]]
    assert (clauses[0].start_ms, clauses[-1].end_ms) == (0.0, round(len(pcm) / 24, 1))
    assert clauses[2].start_ms == pytest.approx(22 * 200 + 220)
    assert abs(clauses[1].start_ms - 7 / 22 * 4400) < 450
    (ready,) = bench.told
    assert (ready.session, ready.turn, ready.utterance) == ("sess_a", 3, "utt_a")
    assert ready.rendering.clauses == tuple(clauses)
    assert bench.counts.ready == 1
    assert bench.counts.audio_s == pytest.approx(len(pcm) / 24_000)


@virtually
async def test_it_waits_while_somebody_talks_also_between_sentences() -> None:
    bench = Bench()
    watch = bench.idle_monitor.watch("sess_b")
    watch(SpeechStarted(1, now(), 0.0))
    rendering = asyncio.ensure_future(bench.render())
    await asyncio.sleep(5.0)
    assert not bench.synthesizer.requests
    assert not bench.opened
    watch(SpeechRejected(1, now(), ""))
    await asyncio.sleep(1.0)  # in the middle of the first sentence somebody else begins
    assert len(bench.synthesizer.requests) == 1
    watch(SpeechStarted(2, now(), 0.0))
    await asyncio.sleep(10.0)
    assert len(bench.synthesizer.requests) == 1
    watch(SpeechRejected(2, now(), ""))
    await rendering
    assert now() - START == pytest.approx(5.0 + 1.0 + 10.0 + 0.5 + 2.0)
    assert bench.orders.kept


@virtually
async def test_what_was_said_is_recognised_first() -> None:
    bench = Bench(orders=Orders(before_us=3))
    await bench.render()
    assert now() - START == pytest.approx(3.0 + 2 * 2.0)


@virtually
async def test_nothing_is_done_for_what_is_gone() -> None:
    bench = Bench(orders=Orders(order=None))
    await bench.render()
    assert (bench.opened, bench.orders.kept, bench.counts.dropped) == (0, [], 0)


@pytest.mark.parametrize("after", [0, 1, 2])
@virtually
async def test_what_is_deleted_meanwhile_is_dropped(after: int) -> None:
    bench = Bench(orders=Orders(unwanted_after=after))
    if after == 2:  # by the time it is to be kept
        bench.orders.unwanted_after = 2
        original = bench.orders.save

        async def too_late(*args: object, **kwargs: object) -> Rendering | None:
            bench.orders.unwanted_after = -1
            return await original(*args, **kwargs)  # type: ignore[arg-type]

        bench.orders.save = too_late  # type: ignore[method-assign]
    await bench.render()
    assert len(bench.synthesizer.requests) == after
    assert (bench.orders.kept, bench.told, bench.counts.dropped) == ([], [], 1)


@virtually
async def test_what_the_same_version_made_is_not_made_again() -> None:
    bench = Bench(orders=Orders(order=replace(ORDER, engine="fake 1")))
    await bench.render()
    assert (bench.orders.settled, bench.opened) == (1, 0)
    newer = Bench(orders=Orders(order=replace(ORDER, engine="fake 0")))
    await newer.render()
    assert len(newer.orders.kept) == 1


Failing = Callable[[Bench], None]


def _unreachable(bench: Bench) -> None:
    bench.synthesizer.failure = EngineUnavailable("it is away")


def _refusing(bench: Bench) -> None:
    bench.synthesizer.failure = EngineError("unknown voice 'zf_a'")


def _unforeseen(bench: Bench) -> None:
    bench.synthesizer.failure = RuntimeError("out of ideas")


def _unloadable(bench: Bench) -> None:
    bench.loading = EngineUnavailable("the weights are on their way")


def _full(bench: Bench) -> None:
    bench.orders.failure = OSError("the disk is full")


def _away(bench: Bench) -> None:
    bench.orders.failure = StoreError("the database is away")


def _silent(bench: Bench) -> None:
    bench.orders.order = replace(ORDER, text="……")


@pytest.mark.parametrize("fails", [_unreachable, _unforeseen, _unloadable, _full, _away])
@virtually
async def test_what_may_pass_is_tried_again_but_not_for_ever(fails: Failing) -> None:
    bench = Bench()
    fails(bench)
    logging.getLogger("kuaimei.rendering.renderer").setLevel(logging.CRITICAL)
    try:
        with pytest.raises(KuaimeiError):
            await bench.render()
        bench.orders.order = replace(ORDER, attempts=6)
        await bench.render()
    finally:
        logging.getLogger("kuaimei.rendering.renderer").setLevel(logging.NOTSET)
    assert [final for _, final in bench.orders.failed] == [False, True]
    assert (bench.counts.retried, bench.counts.failed, bench.told) == (1, 1, [])


@pytest.mark.parametrize("fails", [_refusing, _silent])
@virtually
async def test_what_will_never_succeed_is_given_up_at_once(fails: Failing) -> None:
    bench = Bench()
    fails(bench)
    await bench.render()
    assert [final for _, final in bench.orders.failed] == [True]
    assert (bench.counts.retried, bench.counts.failed) == (0, 1)


@virtually
async def test_a_job_that_kills_its_process_is_given_up() -> None:
    bench = Bench(orders=Orders(order=replace(ORDER, attempts=7)))
    await bench.render()
    assert not bench.opened
    ((why, final),) = bench.orders.failed
    assert final
    assert "6 times" in why


@virtually
async def test_a_sentence_that_never_ends_is_given_up() -> None:
    bench = Bench()
    bench.synthesizer.hangs = True
    with pytest.raises(EngineUnavailable):
        await bench.render()
    assert bench.synthesizer.closed == 1


@virtually
async def test_called_off_it_stops_in_the_middle_and_lets_go() -> None:
    bench = Bench()
    rendering = asyncio.ensure_future(bench.render())
    await asyncio.sleep(1.0)
    rendering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rendering
    assert (bench.synthesizer.closed, bench.orders.kept, bench.orders.failed) == (1, [], [])


@virtually
async def test_a_listener_that_fails_does_not_undo_the_rendering() -> None:
    announcements = Announcements()
    told: list[Ready] = []
    rendering = Rendering("ready", "", "", 1.0, 24_000, 1, "", (), None)

    def broken(ready: Ready) -> None:
        raise RuntimeError("no")

    logging.getLogger("kuaimei.store.broadcast").setLevel(logging.CRITICAL)
    with announcements.subscribe("sess_a", broken), announcements.subscribe("sess_a", told.append):
        announcements.publish(Ready("sess_a", 1, "utt_a", rendering))
        announcements.publish(Ready("sess_b", 1, "utt_b", rendering))
    announcements.publish(Ready("sess_a", 2, "utt_c", rendering))
    assert [ready.utterance for ready in told] == ["utt_a"]
