import asyncio

import pytest

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import (
    ReplyFinished,
    ReplyStarted,
    SpeechRejected,
    SpeechStarted,
    StateChanged,
    TurnEnded,
)
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.settings import DialogueSettings
from tests.support.fakes import FakeLanguageModel, fake_engines, play, said, silence
from tests.support.virtual_time import START, virtually


def now() -> float:
    return asyncio.get_running_loop().time()


@virtually
async def test_quiet_until_somebody_talks_and_after_the_answer() -> None:
    idle_monitor = IdleMonitor(settle_s=0.5)
    watch = idle_monitor.watch("one")
    heard: list[tuple[float, bool]] = []
    idle_monitor.subscribe(lambda busy: heard.append((now() - START, busy)))
    await idle_monitor.wait()
    watch(SpeechStarted(1, now(), 0.0))
    assert idle_monitor.busy
    await asyncio.sleep(2.0)
    watch(TurnEnded(1, now(), now(), 2000.0, "silence"))
    watch(StateChanged(1, now(), "thinking"))
    await asyncio.sleep(1.0)
    watch(StateChanged(1, now(), "speaking"))
    await asyncio.sleep(3.0)
    watch(StateChanged(1, now(), "listening"))
    await idle_monitor.wait()
    assert now() == pytest.approx(START + 6.5)
    assert heard == [(0.0, False), (0.0, True), (pytest.approx(6.5), False)]


@virtually
async def test_an_instant_between_two_steps_is_no_quiet() -> None:
    idle_monitor = IdleMonitor(settle_s=0.5)
    watch = idle_monitor.watch("one")
    heard: list[bool] = []
    idle_monitor.subscribe(heard.append)
    for _ in range(3):
        watch(SpeechStarted(1, now(), 0.0))
        await asyncio.sleep(0.2)
        watch(SpeechRejected(1, now(), ""))
        await asyncio.sleep(0.4)
    assert heard == [False, True]
    await asyncio.sleep(0.2)
    assert heard == [False, True, False]


@virtually
async def test_everybody_must_be_still() -> None:
    idle_monitor = IdleMonitor(settle_s=0.1)
    one, other = idle_monitor.watch("one"), idle_monitor.watch("other")
    one(SpeechStarted(1, now(), 0.0))
    other(StateChanged(1, now(), "thinking"))
    one(SpeechRejected(1, now(), ""))
    await asyncio.sleep(1.0)
    assert idle_monitor.busy
    other(StateChanged(1, now(), "listening"))
    await asyncio.sleep(0.2)
    assert not idle_monitor.busy


@virtually
async def test_a_conversation_that_is_closed_needs_nothing_more() -> None:
    idle_monitor = IdleMonitor(settle_s=0.1)
    watch = idle_monitor.watch("one")
    watch(SpeechStarted(1, now(), 0.0))
    watch.close()
    watch.close()
    watch(StateChanged(1, now(), "speaking"))  # a last word on its way out
    await idle_monitor.wait()
    assert now() == pytest.approx(START + 0.1)


@virtually
async def test_who_waits_is_not_let_go_by_a_quiet_that_is_over() -> None:
    idle_monitor = IdleMonitor(settle_s=0.0)
    watch = idle_monitor.watch("one")
    watch(StateChanged(1, now(), "thinking"))
    waiting = asyncio.ensure_future(idle_monitor.wait())
    await asyncio.sleep(0)

    def again(busy: bool) -> None:
        if not busy:
            watch(StateChanged(2, now(), "thinking"))

    idle_monitor.subscribe(again)
    watch(StateChanged(1, now(), "listening"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@virtually
async def test_one_that_fails_on_the_news_does_not_keep_it_from_the_others() -> None:
    idle_monitor = IdleMonitor(settle_s=0.1)
    heard: list[bool] = []

    def broken(busy: bool) -> None:
        if busy:
            raise ValueError("broken")

    idle_monitor.subscribe(broken)
    unsubscribe = idle_monitor.subscribe(heard.append)
    watch = idle_monitor.watch("one")
    watch(SpeechStarted(1, now(), 0.0))
    unsubscribe()
    unsubscribe()
    watch.close()
    await idle_monitor.wait()
    assert heard == [False, True]


@virtually
async def test_a_whole_conversation_from_the_first_word_to_the_last_sound() -> None:
    idle_monitor = IdleMonitor(settle_s=0.2)
    spans: list[tuple[float, bool]] = []
    idle_monitor.subscribe(lambda busy: spans.append((now() - START, busy)))
    watch = idle_monitor.watch("s")
    engines = fake_engines(language_model=FakeLanguageModel("今天是晴天，適合出門走走散散步。"))
    async with Conversation(engines, DialogueSettings(), "s", [watch]) as c:
        await play(c, silence(400), said("今天天氣怎麼樣"), silence(2000))
        await c.wait_idle()
        await asyncio.sleep(1.0)
        assert not idle_monitor.busy
        await play(c, said("那颱風什麼時候"))  # and goes away in the middle
        assert idle_monitor.busy
    watch.close()
    await idle_monitor.wait()
    assert [busy for _, busy in spans] == [False, True, False, True, False]
    assert 0.3 < spans[1][0] < 1.0


@virtually
async def test_a_reply_that_is_made_needs_the_machine_no_more_though_it_is_still_heard() -> None:
    idle_monitor = IdleMonitor(settle_s=0.2)
    watch = idle_monitor.watch("s")
    playing: list[float] = []
    made: list[float] = []

    def note(event: object) -> None:
        if isinstance(event, StateChanged) and event.state == "listening":
            playing.append(now())
        if isinstance(event, ReplyFinished):
            made.append(now())

    engines = fake_engines(language_model=FakeLanguageModel("今天是晴天，適合出門走走散散步。"))
    async with Conversation(engines, DialogueSettings(), "s", [watch, note]) as c:
        await play(c, silence(400), said("今天天氣怎麼樣"), silence(1500))
        await idle_monitor.wait()
        assert now() == pytest.approx(made[0] + 0.2, abs=0.05)
        await c.wait_idle()
        assert playing[-1] > made[0] + 1.0
        assert not idle_monitor.busy
    watch.close()


@virtually
async def test_the_end_of_an_earlier_reply_is_not_that_of_the_next() -> None:
    """Where a reply may not be interrupted, the next one is prepared while it is spoken."""
    idle_monitor = IdleMonitor(settle_s=0.1)
    watch = idle_monitor.watch("s")
    watch(TurnEnded(1, now(), now(), 0.0, "silence"))
    watch(StateChanged(1, now(), "thinking"))
    watch(ReplyStarted(1, now(), "reply_1"))
    watch(StateChanged(1, now(), "speaking"))
    watch(SpeechStarted(1, now(), 0.0))
    watch(TurnEnded(2, now(), now(), 0.0, "silence"))
    watch(ReplyFinished(1, now(), "reply_1", "好", 100.0))
    await asyncio.sleep(1.0)
    assert idle_monitor.busy
    watch(ReplyFinished(2, now(), "reply_2", "好", 100.0))
    await asyncio.sleep(1.0)
    assert not idle_monitor.busy


@virtually
async def test_an_open_microphone_keeps_nobody_waiting_for_ever() -> None:
    idle_monitor = IdleMonitor(settle_s=0.5)
    forgotten, other = idle_monitor.watch("forgotten"), idle_monitor.watch("other")
    for turn in range(1, 4):  # utterances of the greatest length, one directly after the other
        forgotten(SpeechStarted(turn, now(), 0.0))
        await asyncio.sleep(300.0)
        forgotten(TurnEnded(turn, now(), now(), 0.0, "limit"))
        forgotten(StateChanged(turn, now(), "listening"))
    assert now() == pytest.approx(START + 900.0)
    assert not idle_monitor.busy  # though it goes on
    other(SpeechStarted(1, now(), 0.0))
    assert idle_monitor.busy
    other(SpeechRejected(1, now(), ""))
    await idle_monitor.wait()
    # After a rest it is heeded again.
    await asyncio.sleep(200.0)
    forgotten(SpeechStarted(9, now(), 0.0))
    assert idle_monitor.busy
    for watch in (forgotten, other):
        watch.close()


@virtually
async def test_a_lively_conversation_of_an_hour_is_heeded_all_the_time() -> None:
    idle_monitor = IdleMonitor(settle_s=0.5)
    watch = idle_monitor.watch("one")
    for turn in range(1, 200):
        watch(SpeechStarted(turn, now(), 0.0))
        assert idle_monitor.busy
        await asyncio.sleep(9.0)
        watch(TurnEnded(turn, now(), now(), 0.0, "silence"))
        await asyncio.sleep(2.0)
        watch(StateChanged(turn, now(), "listening"))
        await asyncio.sleep(7.0)
    watch.close()
