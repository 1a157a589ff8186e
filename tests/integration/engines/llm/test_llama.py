"""The real model, as installed."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
import pytest_asyncio

from kuaimei.engines.llm import open_language_model
from kuaimei.engines.llm.llama import LlamaLanguageModel
from kuaimei.engines.llm.llama_cpp import PromptProgress
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import LLMReq, Message, Priority, Ticket
from kuaimei.errors import EngineError
from kuaimei.models.resolve import resolve
from kuaimei.settings import EngineSettings, Settings
from kuaimei.text.script import to_traditional

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

CAPITAL = "What is the capital of France?"
STORY = "請講一個關於小貓的長故事。"


def tasks_of_this_process() -> int:
    return len(os.listdir("/proc/self/task"))


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[LlamaLanguageModel, Scheduler]]:
    source = resolve("llm", settings.llm, settings.weights_dir)
    if source.engine != "llama":
        pytest.skip(f"KUAIMEI_LLM is {source.name}, which does not run here")
    cores = Scheduler("cores", settings.engines.cores)
    async with open_language_model(EngineContext(settings, cores), source) as model:
        assert isinstance(model, LlamaLanguageModel)
        yield model, cores


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runtime() -> AsyncIterator[tuple[LlamaLanguageModel, Scheduler]]:
    async with opened(Settings()) as pair:
        yield pair


@pytest.fixture(scope="module")
def model(runtime: tuple[LlamaLanguageModel, Scheduler]) -> LlamaLanguageModel:
    return runtime[0]


@pytest.fixture(scope="module")
def cores(runtime: tuple[LlamaLanguageModel, Scheduler]) -> Scheduler:
    return runtime[1]


def ask(
    said: str, *, session: str = "test", prefix: str = "", max_tokens: int = 60, system: str = ""
) -> LLMReq:
    """A question at temperature 0, so that the answer is always the same."""
    prompt = Message(role="system", content=system or Settings().dialogue.system_prompt)
    return LLMReq(
        messages=(prompt, Message(role="user", content=said)),
        prefix=prefix,
        max_tokens=max_tokens,
        temperature=0.0,
        ticket=Ticket(session=session, priority=Priority.LIVE),
    )


async def written(model: LlamaLanguageModel, req: LLMReq) -> str:
    return "".join([piece async for piece in model.stream(req)])


async def idle(cores: Scheduler) -> None:
    async with cores.acquire(Ticket(priority=Priority.BACKGROUND), cores.capacity):
        pass


def reading(model: LlamaLanguageModel) -> PromptProgress:
    assert model.reading is not None
    return model.reading


async def test_it_answers_in_the_language_it_is_asked_in(model: LlamaLanguageModel) -> None:
    assert "Paris" in await written(model, ask(CAPITAL))
    answer = await written(model, ask("臺灣最高的山是哪一座？"))
    assert "玉山" in answer
    assert answer == to_traditional(answer)


async def test_the_system_prompt_was_read_at_opening(model: LlamaLanguageModel) -> None:
    await written(model, ask("嗨", session="somebody new", max_tokens=1))
    assert reading(model).evaluated < 20  # the question and the marks around it
    assert reading(model).cached > 40


async def test_a_reply_is_gone_on_with_from_the_cache(model: LlamaLanguageModel, cores: Scheduler) -> None:
    whole = await written(model, ask(CAPITAL))
    begun = ""
    async with aclosing(model.stream(ask(CAPITAL))) as stream:
        async for piece in stream:
            begun += piece
            if len(begun) > 8:
                break
    assert whole.startswith(begun)
    assert begun != whole
    rest = await written(model, ask(CAPITAL, prefix=begun))
    assert begun + rest == whole
    assert reading(model).evaluated <= 4
    await idle(cores)


async def test_closing_stops_it_at_once(model: LlamaLanguageModel, cores: Scheduler) -> None:
    async with aclosing(model.stream(ask(STORY, max_tokens=400))) as stream:
        for _ in range(4):
            await anext(stream)
    await idle(cores)
    assert cores.busy == 0
    closed = time.process_time()
    for _ in range(8):  # the token it was at is finished, and its threads fall asleep
        before = time.process_time()
        await asyncio.to_thread(threading.Event().wait, 0.25)
        if time.process_time() - before < 0.05:
            break
    else:
        pytest.fail("the model goes on computing after its stream was closed")
    assert time.process_time() - closed < 1.0  # of the cores' time: at work it takes as much in half a second


async def test_warming_reads_the_history_and_writes_nothing(model: LlamaLanguageModel) -> None:
    history = ask("我叫小明，今年八歲，最喜歡吃的水果是芒果，最喜歡的動物是長頸鹿。").messages
    history = (*history, Message(role="assistant", content="你好小明，很高興認識你，長頸鹿很可愛呢。"))
    await model.warm(LLMReq(messages=history, ticket=Ticket(session="xiaoming")))
    assert reading(model).evaluated > 10
    question = LLMReq(
        messages=(*history, Message(role="user", content="我最喜歡吃什麼水果？")),
        temperature=0.0,
        ticket=Ticket(session="xiaoming", priority=Priority.LIVE),
    )
    assert "芒果" in await written(model, question)
    assert reading(model).evaluated < 30
    assert reading(model).cached > 80


async def test_conversations_do_not_mix_even_when_there_are_more_than_caches(
    model: LlamaLanguageModel,
) -> None:
    names = ["Alice", "Robert", "Miranda", "Jonathan"]

    async def converse(name: str) -> str:
        req = ask("What is my name? Answer in one word.", session=name, system=f"The user is called {name}.")
        return await written(model, req)

    answers = await asyncio.gather(*map(converse, names))
    for name, answer in zip(names, answers, strict=True):
        assert [n for n in names if n in answer] == [name]


async def test_a_reply_interrupted_by_others_is_the_same_reply(
    model: LlamaLanguageModel, cores: Scheduler
) -> None:
    alone = await written(model, ask(STORY, max_tokens=50))
    done = asyncio.Event()

    async def disturb() -> None:
        while not done.is_set():
            async with cores.acquire(Ticket(session="recogniser", priority=Priority.LIVE), 1):
                await asyncio.sleep(0)

    disturbing = asyncio.ensure_future(disturb())
    disturbed = await written(model, ask(STORY, max_tokens=50))
    done.set()
    await disturbing
    assert len(disturbed) > 20
    # A piece is one token here and may be part of another there: only the beginning is sure to be alike.
    assert disturbed[:12] == alone[:12]


async def test_code_is_not_begun(model: LlamaLanguageModel) -> None:
    answer = await written(model, ask("寫一段 Python 程式，印出九九乘法表。", max_tokens=80))
    assert answer
    assert "`" not in answer
    assert "\n" not in answer


async def test_a_history_beyond_the_context_is_answered_all_the_same(model: LlamaLanguageModel) -> None:
    settings = Settings(engines=EngineSettings(llm_context=256, llm_parallel=1))
    async with opened(settings) as (small, _):
        said = "今天天氣很好，我跟朋友一起去爬山。" * 40 + CAPITAL
        answer = await written(small, ask(said, max_tokens=40))
        assert reading(small).total <= 256 - 40
        assert answer
        assert await written(small, ask("嗨", max_tokens=40, system="規則。" * 300))
        assert reading(small).total <= 256 - 40
        with pytest.raises(EngineError, match="rejected the request"):
            await written(small, ask("嗨", max_tokens=40).model_copy(update={"prefix": "好" * 400}))
        assert await written(small, ask("嗨", max_tokens=5))  # the next one is unharmed


async def test_whoever_waits_is_told_that_a_long_prompt_is_being_read(model: LlamaLanguageModel) -> None:
    pieces = [piece async for piece in model.stream(ask("我們昨天去爬山。" * 60 + CAPITAL, max_tokens=5))]
    first = next(number for number, piece in enumerate(pieces) if piece)
    assert first >= 5  # batches of 32 tokens
    assert "" not in pieces[first:]


async def test_nothing_is_left_behind() -> None:
    settings = Settings(engines=EngineSettings(llm_context=256, llm_parallel=1))
    threads, tasks = threading.active_count(), tasks_of_this_process()
    async with opened(settings) as (small, _):
        assert tasks_of_this_process() > tasks
        stream = small.stream(ask(STORY, max_tokens=200))
        await anext(stream)  # and is left open
    await stream.aclose()
    assert threading.active_count() == threads
    assert tasks_of_this_process() <= tasks + 1  # llama.cpp keeps one for its log, for the whole process


async def test_signals_stay_with_who_handled_them(model: LlamaLanguageModel) -> None:
    caught: list[int] = []
    kept = {s: signal.signal(s, lambda n, _: caught.append(n)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        async with opened(Settings(engines=EngineSettings(llm_context=256, llm_parallel=1))):
            for number in kept:
                signal.raise_signal(number)
        for number in kept:
            signal.raise_signal(number)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert caught == [signal.SIGINT, signal.SIGTERM] * 2
    assert await written(model, ask("嗨", max_tokens=3))  # and the other one runs on
