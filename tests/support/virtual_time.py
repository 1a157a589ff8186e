"""An event loop whose clock jumps: a conversation of half a minute is tested in milliseconds.

Where an ordinary loop would sleep until its next timer, this one sets its clock to that moment. Work in
threads still takes the time it takes: while a thread computes, the clock stands still. When everything
waits and nothing will ever happen, the test fails at once instead of hanging.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

__all__ = ["START", "VirtualLoop", "run_virtually", "virtually"]

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START = 1000.0
"""The clock at the beginning, in seconds; not zero, so that a time mistaken for a duration shows."""


class _Selector(selectors.DefaultSelector):
    """Never waits for a timer; waits for threads and, if sockets are open, for those."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.computing:
            return super().select(None)
        if timeout is not None:
            self.loop.clock += timeout
            return []
        if len(self.get_map()) > 1:  # more than the loop's own wake-up pipe: somebody may still write
            return super().select(None)
        raise RuntimeError("time stands still: every task waits, and nothing will ever happen")


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module's text.

    Attributes:
        clock: What `time` says.
        computing: Calls that run in threads now.
    """

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.clock = START
        self.computing = 0
        super().__init__(selector)

    def time(self) -> float:
        """The virtual clock in seconds."""
        return self.clock

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As ever, and the clock stands still meanwhile."""
        self.computing += 1
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._computed)
        return future

    async def shutdown_default_executor(self) -> None:
        """As ever; ending the threads is work in a thread too."""
        self.computing += 1
        await super().shutdown_default_executor()

    def _computed(self, _: Any) -> None:
        self.computing -= 1


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on virtual time.

    Raises:
        AssertionError: If a task is left over, or died and nobody asked why.
    """
    complaints: list[str] = []
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
        result = runner.run(_leaving_nothing(main))
    assert not complaints, complaints
    return result


async def _leaving_nothing(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left over: {left}"
    return result


def virtually(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make an async test run on virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtually(test(*args, **kwargs))

    return run
