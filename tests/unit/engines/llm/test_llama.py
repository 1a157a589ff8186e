"""Scheduling, prompts and closing of the embedded model, with a model that writes what it is told."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest

from kuaimei.engines.llm.llama import LlamaLanguageModel
from kuaimei.engines.llm.llama_cpp import ProgressCallback, PromptProgress
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import LLMReq, Message, Priority, Ticket
from kuaimei.errors import EngineError, QueueFull

SYSTEM = Message(role="system", content="你是快美。")
ASK = LLMReq(messages=(SYSTEM, Message(role="user", content="嗨")), max_tokens=1000)
LIVE = Ticket(session="live", priority=Priority.LIVE)


class Scripted:
    """Reads a prompt in ``batches``, then writes ``script`` from where the assistant's last words end.

    Attributes:
        gate: It waits here after piece number ``gated`` of a call (0: before it reads).
        calls: The messages of each call.
    """

    def __init__(self, script: Sequence[str]) -> None:
        self.script = list(script)
        self.batches = 1
        self.gated: int | None = None
        self.reached = threading.Event()
        self.gate = threading.Event()
        self.fails: Exception | None = None
        self.calls: list[list[Mapping[str, str]]] = []
        self.limits: list[int] = []
        self.read = 0

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        listener: ProgressCallback,
        *,
        max_tokens: int,
        temperature: float,
    ) -> bool:
        self.calls.append(list(messages))
        self.limits.append(max_tokens)
        if self.fails:
            raise self.fails
        self._wait(0)
        cached = self.read
        while self.read < self.batches:
            self.read += 1
            if not listener(PromptProgress(total=self.batches, cached=cached, done=self.read)):
                return False
        begun = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        written = 0
        for piece in self.script:
            if begun:
                assert begun.startswith(piece)
                begun = begun.removeprefix(piece)
                continue
            written += 1
            if not listener(piece):
                return False
            self._wait(written)
            if written == max_tokens:
                break
        return True

    def _wait(self, place: int) -> None:
        if place == self.gated:
            self.reached.set()
            assert self.gate.wait(20)

    async def arrives(self) -> None:
        await asyncio.to_thread(self.reached.wait, 20)


@pytest.fixture
def cores() -> Scheduler:
    return Scheduler("cores", 2)


@pytest.fixture
async def threads() -> AsyncIterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def model_of(llama: Scripted, cores: Scheduler, threads: ThreadPoolExecutor) -> LlamaLanguageModel:
    return LlamaLanguageModel(llama, cores, threads, context=4096)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - a lane tells nobody who stands in line
        await asyncio.sleep(0)


async def free(cores: Scheduler) -> None:
    """Return once nobody holds a core any more."""
    async with cores.acquire(LIVE, cores.capacity):
        pass


async def test_what_is_written_is_cleaned_for_the_screen(
    cores: Scheduler, threads: ThreadPoolExecutor
) -> None:
    llama = Scripted(["当", "然", "，**软", "件**", "很好", "。"])
    model = model_of(llama, cores, threads)
    assert "".join([piece async for piece in model.stream(ASK)]) == "當然，軟體很好。"
    assert llama.calls == [[m.model_dump() for m in ASK.messages]]
    await free(cores)


async def test_it_goes_on_from_the_prefix(cores: Scheduler, threads: ThreadPoolExecutor) -> None:
    llama = Scripted(["Sure,", " I", " can."])
    model = model_of(llama, cores, threads)
    req = ASK.model_copy(update={"prefix": "Sure, "})
    assert "".join([piece async for piece in model.stream(req)]) == "I can."
    assert llama.calls[0][-1] == {"role": "assistant", "content": "Sure,"}


async def test_a_history_that_ends_with_a_reply_gets_another_one(
    cores: Scheduler, threads: ThreadPoolExecutor
) -> None:
    llama = Scripted(["好。"])
    model = model_of(llama, cores, threads)
    req = ASK.model_copy(update={"messages": (*ASK.messages, Message(role="assistant", content="嗯"))})
    assert "".join([piece async for piece in model.stream(req)]) == "好。"
    assert [m["role"] for m in llama.calls[0]] == ["system", "user", "assistant", "user"]


async def test_a_history_longer_than_the_context_is_trimmed(
    cores: Scheduler, threads: ThreadPoolExecutor
) -> None:
    llama = Scripted(["好。"])
    model = LlamaLanguageModel(llama, cores, threads, context=300)
    past = [Message(role=role, content="話" * 60) for _ in range(9) for role in ("user", "assistant")]
    last = Message(role="user", content="最後")
    req = LLMReq(messages=(SYSTEM, *past, last), max_tokens=50)
    assert "".join([piece async for piece in model.stream(req)]) == "好。"
    (prompt,) = llama.calls
    assert prompt[0] == SYSTEM.model_dump()
    assert prompt[-1] == last.model_dump()
    assert sum(len(m["content"]) for m in prompt) < 250


async def test_no_messages_no_reply(cores: Scheduler, threads: ThreadPoolExecutor) -> None:
    with pytest.raises(EngineError, match="no messages"):
        model_of(Scripted([]), cores, threads).stream(LLMReq(messages=()))


async def test_closing_stops_it_and_then_lets_go_of_the_cores(
    cores: Scheduler, threads: ThreadPoolExecutor
) -> None:
    llama = Scripted(["一", "二", "三", "四", "五"])
    llama.gated = 2
    model = model_of(llama, cores, threads)
    async with aclosing(model.stream(ASK)) as stream:
        assert await anext(stream)
        await llama.arrives()
    assert cores.busy == 2  # the token it was at is still being computed
    llama.gate.set()
    await free(cores)
    assert llama.calls == [[m.model_dump() for m in ASK.messages]]


async def test_closing_while_it_waits_leaves_the_line(cores: Scheduler, threads: ThreadPoolExecutor) -> None:
    llama = Scripted(["一"])
    model = model_of(llama, cores, threads)
    async with cores.acquire(LIVE, 1):
        stream = model.stream(ASK)
        first = asyncio.ensure_future(anext(stream))
        await until(lambda: cores.depth == 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await stream.aclose()
        await until(lambda: cores.depth == 0)
    await free(cores)
    assert llama.calls == []


async def test_no_turn_before_the_deadline(cores: Scheduler, threads: ThreadPoolExecutor) -> None:
    model = model_of(Scripted(["一"]), cores, threads)
    late = Ticket(deadline=asyncio.get_running_loop().time())
    async with cores.acquire(LIVE, 1):
        with pytest.raises(QueueFull):
            await anext(model.stream(ASK.model_copy(update={"ticket": late})))


async def in_line(cores: Scheduler, ticket: Ticket, order: list[str], name: str) -> "asyncio.Task[None]":
    """A task that stands in line for one core, and notes ``name`` once it has had it."""

    async def work() -> None:
        async with cores.acquire(ticket, 1):
            order.append(name)

    depth = cores.depth
    task = asyncio.ensure_future(work())
    await until(lambda: cores.depth != depth)
    return task


async def test_others_get_the_cores_between_steps(cores: Scheduler, threads: ThreadPoolExecutor) -> None:
    script = [chr(0x4E00 + i) for i in range(40)]
    llama = Scripted(script)
    llama.gated = 1
    model = model_of(llama, cores, threads)
    order: list[str] = []

    async def write() -> str:
        text = "".join([piece async for piece in model.stream(ASK)])
        order.append("reply")
        return text

    writing = asyncio.ensure_future(write())
    await llama.arrives()
    working = await in_line(cores, LIVE, order, "live")
    llama.gate.set()
    await working
    assert len(await writing) == len(script)
    assert order == ["live", "reply"]
    first, second = llama.calls  # it stopped after its step and went on from there
    assert first[-1]["role"] == "user"
    assert second[-1] == {"role": "assistant", "content": "".join(script[:12])}
    assert llama.limits == [1000, 988]
    await free(cores)


async def test_a_step_leaves_nobody_of_less_importance_before_it(
    cores: Scheduler, threads: ThreadPoolExecutor
) -> None:
    llama = Scripted([chr(0x4E00 + i) for i in range(40)])
    llama.gated = 1
    model = model_of(llama, cores, threads)
    order: list[str] = []

    async def write() -> None:
        async for _ in model.stream(ASK.model_copy(update={"ticket": LIVE})):
            pass
        order.append("reply")

    writing = asyncio.ensure_future(write())
    await llama.arrives()
    working = await in_line(cores, Ticket(session="analysis"), order, "background")
    llama.gate.set()
    await asyncio.gather(writing, working)
    # The reply's last pieces may still be on their way when the cores are free, but no step came after.
    assert len(llama.calls) == 4
    assert all(call[-1]["role"] == "assistant" for call in llama.calls[1:])
    await free(cores)


async def test_reading_a_long_prompt_lets_others_in_between_batches(
    cores: Scheduler, threads: ThreadPoolExecutor
) -> None:
    llama = Scripted(["一"])
    llama.batches = 5
    llama.gated = 0
    model = model_of(llama, cores, threads)
    order: list[str] = []

    async def warm() -> None:
        await model.warm(ASK)
        order.append("warm")

    warming = asyncio.ensure_future(warm())
    await llama.arrives()
    working = await in_line(cores, LIVE, order, "live")
    llama.gate.set()
    await asyncio.gather(working, warming)
    assert order == ["live", "warm"]
    assert len(llama.calls) == 2  # one batch, then the others when the cores were free again
    assert llama.limits == [1, 1]
    await free(cores)


async def test_a_warming_that_is_cancelled_stops(cores: Scheduler, threads: ThreadPoolExecutor) -> None:
    llama = Scripted(["一"])
    llama.batches = 5
    llama.gated = 0
    model = model_of(llama, cores, threads)
    warming = asyncio.ensure_future(model.warm(ASK))
    await llama.arrives()
    warming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await warming
    llama.gate.set()
    await free(cores)
    assert llama.read == 1


@pytest.mark.parametrize("error", [EngineError("the prompt is too long"), RuntimeError("too long")])
async def test_a_failure_reaches_who_waits_and_the_next_reply_works(
    cores: Scheduler, threads: ThreadPoolExecutor, error: Exception
) -> None:
    llama = Scripted(["好。"])
    llama.fails = error
    model = model_of(llama, cores, threads)
    with pytest.raises(EngineError, match="too long"):
        await anext(model.stream(ASK))
    await model.warm(ASK)  # abandoned without harm
    llama.fails = None
    assert "".join([piece async for piece in model.stream(ASK)]) == "好。"
    await free(cores)


async def test_closing_the_engine_ends_a_reply_under_way(
    cores: Scheduler, threads: ThreadPoolExecutor
) -> None:
    llama = Scripted(["一", "二", "三"])
    llama.gated = 1
    model = model_of(llama, cores, threads)
    stream = model.stream(ASK)
    pieces = asyncio.ensure_future(_all(stream))
    await llama.arrives()
    closing = asyncio.ensure_future(model.close())
    await asyncio.sleep(0)
    llama.gate.set()
    await closing
    assert "三" not in await pieces
    assert cores.busy == 0


async def _all(stream: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in stream])
