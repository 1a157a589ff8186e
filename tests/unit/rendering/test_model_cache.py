import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from kuaimei.errors import EngineUnavailable, SettingsError, WeightsError
from kuaimei.rendering.model_cache import Counters, ModelCache
from tests.support.virtual_time import START, virtually


class Shelf:
    """Models that take a second to load; knows which are in memory and how much they take."""

    def __init__(self, load_s: float = 1.0, close_s: float = 0.0) -> None:
        self.load_s = load_s
        self.close_s = close_s
        self.loaded: list[str] = []
        self.log: list[str] = []
        self.broken: set[str] = set()

    def opener(self, name: str) -> Callable[[], AbstractAsyncContextManager[str]]:
        @asynccontextmanager
        async def open_it() -> AsyncIterator[str]:
            self.log.append(f"load {name}")
            await asyncio.sleep(self.load_s)
            if name in self.broken:
                raise WeightsError(f"{name} is damaged")
            self.loaded.append(name)
            yield name.upper()
            await asyncio.sleep(self.close_s)
            self.loaded.remove(name)
            self.log.append(f"drop {name}")

        return open_it


async def use(
    model_cache: ModelCache, shelf: Shelf, name: str, for_s: float = 1.0, mb: float = 100.0
) -> tuple[float, float]:
    """Uses it; from when to when, since the start."""
    async with model_cache.use(name, mb, shelf.opener(name)) as thing:
        assert thing == name.upper()
        began = now()
        await asyncio.sleep(for_s)
        assert name in shelf.loaded
        return began, now()


def now() -> float:
    return asyncio.get_running_loop().time() - START


@virtually
async def test_loaded_once_for_two_at_once_and_for_the_next() -> None:
    shelf = Shelf()
    async with ModelCache(100.0) as model_cache:
        both = await asyncio.gather(*(use(model_cache, shelf, "a") for _ in range(2)))
        assert both == [(1.0, 2.0), (1.0, 2.0)]
        assert await use(model_cache, shelf, "a") == (2.0, 3.0)
        assert model_cache.counters == Counters(loads=1, hits=2, load_s=1.0)
        assert model_cache.residents == {"a": 100.0}
    assert shelf.loaded == []
    assert model_cache.used_mb == 0.0


@virtually
async def test_the_least_recently_used_makes_room() -> None:
    shelf = Shelf()
    async with ModelCache(200.0) as model_cache:
        for name in ("a", "b", "a", "c", "a", "b"):
            await use(model_cache, shelf, name)
            assert sum(model_cache.residents.values()) <= 200.0
        assert shelf.log == ["load a", "load b", "drop b", "load c", "drop c", "load b"]
        assert model_cache.counters == Counters(loads=4, hits=2, evictions=2, load_s=4.0)


@virtually
async def test_what_is_in_use_stays_and_the_next_waits_for_it() -> None:
    shelf = Shelf(close_s=0.5)
    async with ModelCache(150.0) as model_cache:
        first = asyncio.ensure_future(use(model_cache, shelf, "a", 5.0))
        await asyncio.sleep(2.0)
        assert await use(model_cache, shelf, "small", 1.0, mb=50.0) == (3.0, 4.0)
        second = asyncio.ensure_future(use(model_cache, shelf, "b"))
        await asyncio.sleep(1.0)
        assert model_cache.waiting == 1
        assert sorted(model_cache.residents) == ["a", "small"]  # putting that one out would not help yet
        assert await first == (1.0, 6.0)
        assert await second == (7.5, 8.5)
        assert sorted(model_cache.residents) == ["b", "small"]


@virtually
async def test_several_small_ones_make_room_for_a_large_one() -> None:
    shelf = Shelf(close_s=1.0)
    async with ModelCache(100.0) as model_cache:
        for name in ("a", "b", "c"):
            await use(model_cache, shelf, name, mb=30.0)
        began, _ = await use(model_cache, shelf, "large", mb=60.0)
        assert began == pytest.approx(8.0)
        assert sorted(model_cache.residents) == ["c", "large"]
        assert model_cache.counters.evictions == 2


@virtually
async def test_nobody_overtakes_whoever_waits_longer() -> None:
    """Two users of one model in turns do not keep a third out."""
    shelf = Shelf()
    served: list[str] = []

    async def again(name: str, times: int, after: float) -> None:
        await asyncio.sleep(after)
        for _ in range(times):
            await use(model_cache, shelf, name, 1.0)
            served.append(name)

    async with ModelCache(100.0) as model_cache:
        await asyncio.gather(again("a", 5, 0.0), again("a", 5, 0.5), again("b", 1, 1.2))
        assert served.index("b") <= 2
        assert served.count("a") == 10


@virtually
async def test_unloaded_when_nobody_needed_it_for_long() -> None:
    shelf = Shelf()
    async with ModelCache(100.0, idle_s=60.0) as model_cache:
        await use(model_cache, shelf, "a")
        await asyncio.sleep(59.0)
        await use(model_cache, shelf, "a", 100.0)
        assert model_cache.counters.hits == 1
        await asyncio.sleep(59.0)
        assert shelf.loaded == ["a"]
        await asyncio.sleep(2.0)
        assert shelf.loaded == []
        assert (model_cache.residents, model_cache.used_mb) == ({}, 0.0)
        assert model_cache.counters.unloads == 1
        await use(model_cache, shelf, "a")
        assert model_cache.counters.loads == 2


@virtually
async def test_a_failed_load_leaves_nothing_counted_and_is_tried_again() -> None:
    shelf = Shelf()
    shelf.broken.add("a")
    async with ModelCache(100.0) as model_cache:
        outcomes = await asyncio.gather(
            use(model_cache, shelf, "a"),
            use(model_cache, shelf, "a"),
            use(model_cache, shelf, "b"),  # waits behind them, and gets the room
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [WeightsError, WeightsError, tuple]
        assert model_cache.residents == {"b": 100.0}
        shelf.broken.clear()
        await use(model_cache, shelf, "a")
        assert model_cache.counters == Counters(loads=2, hits=1, evictions=1, failures=1, load_s=2.0)
    assert model_cache.used_mb == 0.0


@virtually
async def test_a_model_that_fails_while_it_is_let_go_frees_its_room(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def stubborn() -> AsyncIterator[str]:
        yield "X"
        raise ValueError("will not go")

    async with ModelCache(100.0) as model_cache:
        async with model_cache.use("x", 100.0, stubborn):
            pass
        await use(model_cache, Shelf(), "a")
        assert model_cache.residents == {"a": 100.0}
    assert "unloading x failed" in caplog.text


@virtually
async def test_who_is_larger_than_everything_is_told_at_once() -> None:
    async with ModelCache(100.0) as model_cache:
        with pytest.raises(SettingsError, match=r"a needs 101 MB.*100 MB in total.*RENDERING__MEMORY_MB"):
            await use(model_cache, Shelf(), "a", mb=101.0)


@virtually
async def test_who_gives_up_while_it_loads_leaves_it_to_the_others() -> None:
    shelf = Shelf(load_s=4.0)
    async with ModelCache(100.0, idle_s=10.0) as model_cache:
        first, second = (asyncio.ensure_future(use(model_cache, shelf, "a")) for _ in range(2))
        await asyncio.sleep(1.0)
        first.cancel()
        assert await second == (4.0, 5.0)
        lonely = asyncio.ensure_future(use(model_cache, shelf, "b"))
        await asyncio.sleep(1.0)
        lonely.cancel()
        await asyncio.sleep(4.0)
        assert shelf.loaded == ["b"]  # somebody may ask again
        await asyncio.sleep(10.0)
        assert shelf.loaded == []


@virtually
async def test_let_go_at_once_if_nobody_uses_it() -> None:
    shelf = Shelf(close_s=1.0)
    async with ModelCache(100.0) as model_cache:
        assert not await model_cache.unload("a")
        using = asyncio.ensure_future(use(model_cache, shelf, "a", 5.0))
        await asyncio.sleep(2.0)
        assert not await model_cache.unload("a")
        await using
        assert await model_cache.unload("a")
        assert (shelf.loaded, model_cache.used_mb, now()) == ([], 0.0, 7.0)
        assert model_cache.counters.unloads == 1
        await use(model_cache, shelf, "a")


@virtually
async def test_closing_turns_away_who_waits() -> None:
    shelf = Shelf()
    model_cache = ModelCache(100.0)
    holding = asyncio.ensure_future(use(model_cache, shelf, "a", 100.0))
    waiting = asyncio.ensure_future(use(model_cache, shelf, "b"))
    await asyncio.sleep(2.0)
    holding.cancel()
    await model_cache.close()
    await model_cache.close()
    with pytest.raises(EngineUnavailable):
        await waiting
    with pytest.raises(EngineUnavailable):
        await use(model_cache, shelf, "a")
    await asyncio.gather(holding, return_exceptions=True)
    assert shelf.loaded == []


@virtually
async def test_loading_is_timed_by_the_clock_given() -> None:
    ticks = iter((10.0, 17.5))
    async with ModelCache(100.0, clock=lambda: next(ticks)) as model_cache:
        await use(model_cache, Shelf(), "a")
        assert model_cache.counters.load_s == pytest.approx(7.5)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_the_budget_holds_and_nobody_is_forgotten(seed: int) -> None:
    @virtually
    async def scenario() -> None:
        dice = random.Random(seed)
        shelf = Shelf(load_s=0.3, close_s=0.2)
        shelf.broken.add("e")
        sizes = {"a": 40.0, "b": 60.0, "c": 100.0, "d": 10.0, "e": 50.0}
        most = 0.0

        async def one() -> None:
            nonlocal most
            await asyncio.sleep(dice.random() * 20.0)
            name = dice.choice("abcde")
            async with model_cache.use(name, sizes[name], shelf.opener(name)) as thing:
                assert thing == name.upper()
                assert name in shelf.loaded
                most = max(most, sum(sizes[loaded] for loaded in shelf.loaded))
                assert model_cache.used_mb <= 100.0
                await asyncio.sleep(dice.choice((0.0, 0.1, 2.0)))
                assert name in shelf.loaded

        async with ModelCache(100.0, idle_s=1.0) as model_cache:
            tasks = [asyncio.ensure_future(one()) for _ in range(100)]
            for task in dice.sample(tasks, 30):
                asyncio.get_running_loop().call_later(dice.random() * 40.0, task.cancel)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            known = (WeightsError, asyncio.CancelledError)
            assert all(outcome is None or isinstance(outcome, known) for outcome in outcomes), outcomes
            assert model_cache.waiting == 0
            await asyncio.sleep(5.0)
            assert (model_cache.used_mb, shelf.loaded) == (0.0, [])
        assert most <= 100.0
        assert shelf.loaded == []

    scenario()
