"""The hands of a scenario: steps are ordinary functions, what they touch is asynchronous."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx

from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.llm import open_language_model
from kuaimei.engines.protocols import LanguageModel
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.models.source import EngineSource
from kuaimei.runtime import Runtime
from kuaimei.server.static_page import Page
from kuaimei.settings import Settings
from kuaimei.store import Store, open_store
from tests.features.context import Notes
from tests.support.fakes import FakeLanguageModel
from tests.support.server.app_server import InMemoryRuntime, Served, make_settings, quick_engines, serving
from tests.support.server.realtime_client import Talk, talking

__all__ = ["World"]

T = TypeVar("T")


class World:
    """Opens things for a scenario, on a loop in another thread, and closes them after it.

    Attributes:
        note: What one step leaves for the next.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.note = Notes()
        self._loop = loop
        self._stack = AsyncExitStack()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 120.0) -> T:
        """Do it, and wait until it is done."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def enter(self, context: AbstractAsyncContextManager[T], timeout_s: float = 120.0) -> T:
        """Open it until the scenario is over."""
        return self.run(self._stack.enter_async_context(context), timeout_s)

    def close(self) -> None:
        """Whatever is open, the last first."""
        self.run(self._stack.aclose())

    def serve(
        self,
        engines: Engines | None = None,
        store: Any = None,
        page: Path | None = None,
        settings: Settings | None = None,
        **server: Any,
    ) -> Served:
        """The server with engines that cost nothing; ``server`` are its settings."""
        runtime = InMemoryRuntime(
            settings=settings or make_settings(**server), engines=engines or quick_engines(), store=store
        )
        return self.enter(serving(runtime, None if page is None else Page(page)))

    def model_by_url(self, reply: str, *, leaves: bool = False) -> LanguageModel:
        """The real client of a language model that another server offers; that one writes ``reply``.

        Args:
            leaves: The other server is there when its client is opened, and not any more afterwards.
        """
        model = FakeLanguageModel(reply=reply, first_token_s=0.0, token_s=0.0)
        away = World(self._loop)
        brain = (away if leaves else self).serve(quick_engines(language_model=model))
        source = EngineSource("llm", "brain", "openai", url=f"{brain.url}/v1")
        client = self.enter(
            open_language_model(EngineContext(make_settings(), Scheduler("cores", 2)), source)
        )
        away.close()
        return client

    def serve_keeping(self, settings: Settings, engines: Engines | None = None) -> tuple[Served, Store]:
        """The same with the real store, everything said recorded."""
        return self.enter(_keeping(settings, engines or quick_engines()))

    def talk(self, served: Served, query: str = "", **options: Any) -> Talk:
        """A client that has been greeted."""
        return self.enter(talking(served, query, **options))

    def http(self, served: Served, **options: Any) -> "Http":
        """A browser or a program, without the protocol of conversations."""
        client = httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False, **options)
        return Http(self, self.enter(client))


class Http:
    """`httpx.AsyncClient` for ordinary functions."""

    def __init__(self, world: World, client: httpx.AsyncClient) -> None:
        self._world = world
        self.client = client

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._world.run(self.client.request(method, path, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        """The answer, whatever its status."""
        return self("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """The answer, whatever its status."""
        return self("POST", path, **more)

    def until(self, path: str, holds: Callable[[Any], object], timeout_s: float = 90.0) -> Any:
        """Ask again until the answer is as it is expected."""

        async def asking() -> Any:
            async with asyncio.timeout(timeout_s):
                while True:
                    answer = await self.client.get(path)
                    if answer.status_code == 200 and holds(found := answer.json()):
                        return found
                    await asyncio.sleep(0.05)

        return self._world.run(asking(), timeout_s + 10)


@asynccontextmanager
async def _keeping(settings: Settings, engines: Engines) -> AsyncIterator[tuple[Served, Store]]:
    server = settings.server.model_copy(update={"port": 0})
    settings = settings.model_copy(update={"server": server})
    async with open_store(settings) as store:
        runtime = Runtime(settings, engines, store, (), (Scheduler("cores", 2),), IdleMonitor(settle_s=0.01))
        async with serving(cast(InMemoryRuntime, runtime)) as served:
            yield served, store
