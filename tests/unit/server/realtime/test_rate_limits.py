import asyncio

import pytest

from kuaimei.server.realtime.rate_limits import AudioRateLimiter, EventPace, TokenBucket
from tests.support.virtual_time import run_virtually


def took(*audio_s: float, gap_s: float = 0.0) -> float:
    async def send() -> float:
        loop = asyncio.get_running_loop()
        pace, started = AudioRateLimiter(), loop.time()
        for each in audio_s:
            await pace.acquire(each)
            await asyncio.sleep(gap_s)
        return loop.time() - started - gap_s * len(audio_s)

    waited: list[float] = []

    async def measure() -> None:
        waited.append(await send())

    run_virtually(measure())
    return waited[0]


def test_real_time_never_waits() -> None:
    assert took(*[0.02] * 5000, gap_s=0.02) < 1e-6


def test_a_burst_is_taken_at_once() -> None:
    assert took(*[1.0] * 30) == 0.0


def test_an_hour_at_once_is_read_at_four_times_its_speed() -> None:
    assert 880 < took(*[1.0] * 3600) < 900


def test_requests_come_in_bursts_but_not_for_ever() -> None:
    async def ask() -> None:
        allowance = TokenBucket(60)
        assert [allowance.ask() for _ in range(60)] == [0.0] * 60
        assert allowance.ask() == pytest.approx(1.0)
        await asyncio.sleep(0.4)
        assert allowance.ask() == pytest.approx(0.6)
        await asyncio.sleep(0.61)
        assert allowance.ask() == 0.0
        await asyncio.sleep(3600.0)
        assert [allowance.ask() for _ in range(60)] == [0.0] * 60
        assert allowance.ask() > 0.0

    run_virtually(ask())


def lasted(*characters: int, gap_s: float = 0.0) -> float:
    found: list[float] = []

    async def send() -> None:
        loop = asyncio.get_running_loop()
        pace, started = EventPace(), loop.time()
        for each in characters:
            await pace.keep(each)
            await asyncio.sleep(gap_s)
        found.append(loop.time() - started - gap_s * len(characters))

    run_virtually(send())
    return found[0]


def test_sound_in_small_pieces_and_ordinary_events_never_wait() -> None:
    assert lasted(*[0] * 6000, gap_s=0.01) < 1e-6  # 10 ms each
    assert lasted(*[500, 0, 0, 0, 0] * 1000, gap_s=0.02) < 1e-6
    assert lasted(*[20_000] * 100) == 0.0  # a conversation that is put in at once


def test_a_flood_of_events_is_read_slowly() -> None:
    assert lasted(*[2 * 1024 * 1024] * 10) > 30
    assert lasted(*[100] * 100_000) > 150  # however short they are
