"""Refusals are counted, told without flooding the log, and slow down whoever tries keys."""

import logging

import pytest

from kuaimei.http.refusals import REASONS, Refusals


class Clock:
    """Says what it is told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(clock: Clock) -> Refusals:
    return Refusals(clock, clock.sleep)


def test_every_reason_is_counted_from_nought(refusals: Refusals) -> None:
    assert refusals.counts == dict.fromkeys(REASONS, 0)
    refusals.note("wrong_key", "10.0.0.1")
    refusals.note("wrong_key", "10.0.0.2")
    assert refusals.counts["wrong_key"] == 2


def test_one_line_a_minute_for_each_reason_and_address(
    refusals: Refusals, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kuaimei")
    for _ in range(100):
        refusals.note("wrong_key", "10.0.0.1")
    refusals.note("no_key", "10.0.0.1")
    refusals.note("wrong_key", "10.0.0.2")
    assert len(caplog.records) == 3
    assert all("10.0.0." in record.getMessage() for record in caplog.records)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    clock.now += 61.0
    refusals.note("wrong_key", "10.0.0.1")
    assert "99 more" in caplog.records[-1].getMessage()


def test_many_addresses_do_not_fill_the_log_or_the_memory(
    refusals: Refusals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kuaimei")
    for number in range(5000):
        refusals.note("no_key", f"10.0.{number // 256}.{number % 256}")
    assert len(caplog.records) == 60
    assert refusals.counts["no_key"] == 5000
    assert len(refusals._lines) <= 1024


@pytest.mark.parametrize("peer", ["", "evil\nforged line", "a" * 10_000, "km_secret"])
def test_nothing_that_was_sent_reaches_the_log(
    refusals: Refusals, caplog: pytest.LogCaptureFixture, peer: str
) -> None:
    caplog.set_level(logging.INFO, "kuaimei")
    refusals.note("wrong_key", peer)
    assert "an unknown address" in caplog.records[-1].getMessage()
    assert "\n" not in caplog.records[-1].getMessage()


async def test_wrong_keys_take_ever_longer(refusals: Refusals, clock: Clock) -> None:
    for _ in range(5):
        await refusals.slow_down("10.0.0.1")
    assert clock.slept == []  # people paste the wrong one
    for _ in range(8):
        await refusals.slow_down("10.0.0.1")
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[0] == pytest.approx(0.1)
    assert clock.slept[-1] == 3.0
    before = len(clock.slept)
    await refusals.slow_down("10.0.0.2")
    assert len(clock.slept) == before  # somebody else does not wait for that
    clock.now += 1000.0
    await refusals.slow_down("10.0.0.1")
    assert len(clock.slept) == before  # forgiven


async def test_a_whole_serverhold_of_ipv6_is_one(refusals: Refusals, clock: Clock) -> None:
    for number in range(7):
        await refusals.slow_down(f"2001:db8::{number + 1:x}")
    assert clock.slept
    before = len(clock.slept)
    await refusals.slow_down("2001:db8:0:1::1")
    assert len(clock.slept) == before
