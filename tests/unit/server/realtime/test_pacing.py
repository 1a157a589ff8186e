import asyncio

from kuaimei.server.realtime.pacing import Pace
from tests.virtual_time import run_virtually


def took(*audio_s: float, gap_s: float = 0.0) -> float:
    async def send() -> float:
        loop = asyncio.get_running_loop()
        pace, started = Pace(), loop.time()
        for each in audio_s:
            await pace.keep(each)
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
