import asyncio
from collections.abc import AsyncIterator

import pytest

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import ReplyFinished, TurnFailed
from kuaimei.dialogue.timeouts import timeout_excluding_queue
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import LLMReq, Priority, QueueTimer, Ticket
from kuaimei.settings import DialogueSettings
from tests.support.fakes import EventLog, FakeLanguageModel, fake_engines
from tests.support.virtual_time import virtually
from tests.unit.dialogue.conversing import REPLY


def now() -> float:
    return asyncio.get_running_loop().time()


@virtually
async def test_a_block_that_is_done_in_time() -> None:
    async with timeout_excluding_queue(1.0):
        await asyncio.sleep(0.9)
    await asyncio.sleep(5.0)  # nothing comes of it afterwards


@virtually
async def test_a_block_that_is_not() -> None:
    begun = now()
    with pytest.raises(TimeoutError):
        async with timeout_excluding_queue(1.0):
            await asyncio.sleep(9.0)
    assert now() - begun == pytest.approx(1.0)


@virtually
async def test_time_in_a_queue_does_not_count() -> None:
    wait, begun = QueueTimer(), now()

    async def work() -> None:
        async with timeout_excluding_queue(1.0, wait):
            await asyncio.sleep(0.5)
            wait.begin(now())
            await asyncio.sleep(30.0)
            wait.end(now())
            await asyncio.sleep(9.0)

    with pytest.raises(TimeoutError):
        await work()
    assert now() - begun == pytest.approx(31.0, abs=0.25)


@virtually
async def test_what_was_waited_before_is_nobodys_extra_time() -> None:
    wait = QueueTimer()
    wait.begin(now())
    await asyncio.sleep(20.0)
    wait.end(now())
    begun = now()
    with pytest.raises(TimeoutError):
        async with timeout_excluding_queue(1.0, wait):
            await asyncio.sleep(9.0)
    assert now() - begun == pytest.approx(1.0)


@virtually
async def test_requests_that_wait_side_by_side_wait_once() -> None:
    wait = QueueTimer()
    wait.begin(now())
    await asyncio.sleep(1.0)
    wait.begin(now())
    await asyncio.sleep(1.0)
    wait.end(now())
    assert wait.so_far_s(now()) == pytest.approx(2.0)
    await asyncio.sleep(1.0)
    wait.end(now())
    await asyncio.sleep(7.0)
    assert wait.so_far_s(now()) == pytest.approx(3.0)


class QueueingModel(FakeLanguageModel):
    """Stands in line for the cores, as the embedded one does."""

    def __init__(self, reply: str, cores: Scheduler) -> None:
        super().__init__(reply)
        self._cores = cores

    async def stream(self, req: LLMReq) -> AsyncIterator[str]:
        async with self._cores.acquire(req.ticket):
            async for token in super().stream(req):
                yield token


def talk(log: EventLog, cores: Scheduler) -> Conversation:
    engines = fake_engines(language_model=QueueingModel(REPLY, cores))
    return Conversation(engines, DialogueSettings(), "s", [log])


@virtually
async def test_whoever_waits_in_line_is_answered_all_the_same() -> None:
    cores, log = Scheduler("cores"), EventLog()
    async with talk(log, cores) as conversation:
        async with cores.acquire(Ticket(session="somebody else", priority=Priority.LIVE)):
            conversation.send_text("天氣")
            await asyncio.sleep(40.0)
        await conversation.wait_idle()
    assert not log.of(TurnFailed)
    assert log.one(ReplyFinished).text == REPLY


@virtually
async def test_but_not_for_ever() -> None:
    cores, log = Scheduler("cores"), EventLog()
    async with talk(log, cores) as conversation:
        async with cores.acquire(Ticket(session="somebody else", priority=Priority.LIVE)):
            conversation.send_text("天氣")
            await asyncio.sleep(70.0)
        await conversation.wait_idle()
    assert log.one(TurnFailed).kind == "queue_full"
