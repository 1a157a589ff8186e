import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from kuaimei.engines.llm.generation import Generation
from kuaimei.engines.llm.llama_cpp import ProgressCallback, PromptProgress
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import LLMReq, Message, Priority, Ticket


class Forgetful:
    """Holds what it has read of one prompt only, and reads it in eight batches."""

    def __init__(self) -> None:
        self.read: tuple[str, int] = ("", 0)
        self.batches = 0

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        listener: ProgressCallback,
        *,
        max_tokens: int,
        temperature: float,
    ) -> bool:
        prompt = messages[0]["content"]
        cached = self.read[1] if self.read[0] == prompt else 0
        for done in range(cached, 9):
            self.read = prompt, done
            self.batches += done > cached
            time.sleep(0.001)
            if not listener(PromptProgress(8, cached, done)):
                return False
        return listener(f"{prompt}!") or True


def request(name: str, priority: Priority = Priority.LIVE) -> LLMReq:
    ticket = Ticket(session=name, priority=priority)
    return LLMReq(messages=(Message(role="user", content=name),), max_tokens=1, ticket=ticket)


async def test_more_conversations_than_the_cache_holds_are_all_answered() -> None:
    model, seat, cores = Forgetful(), Scheduler("llm"), Scheduler("cores", 2)
    with ThreadPoolExecutor(1) as threads:
        names = [f"person {number}" for number in range(5)]
        runs = [Generation(model, seat, cores, threads, r := request(name), r.messages) for name in names]

        async def text(run: Generation) -> str:
            return "".join([piece async for piece in run.pieces()])

        async with asyncio.timeout(20):
            assert await asyncio.gather(*map(text, runs)) == [f"{name}!" for name in names]
    assert model.batches == 5 * 8  # and nothing was read twice


async def test_whoever_is_waited_for_goes_before_a_guess() -> None:
    model, seat, cores = Forgetful(), Scheduler("llm"), Scheduler("cores", 2)
    order: list[str] = []
    with ThreadPoolExecutor(1) as threads:

        async def text(name: str, priority: Priority) -> None:
            run = Generation(model, seat, cores, threads, r := request(name, priority), r.messages)
            order.extend([name async for piece in run.pieces() if piece])

        guess = asyncio.ensure_future(text("guess", Priority.SPECULATIVE))
        while not model.batches:  # noqa: ASYNC110
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await asyncio.gather(guess, text("live", Priority.LIVE))
    assert order == ["live", "guess"]
