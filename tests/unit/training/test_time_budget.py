import time

import pytest

from kuaimei.training.time_budget import TimeBudget


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Processor time, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(time, "process_time", lambda: now[0])
    return now


def iterate(plan: TimeBudget, clock: list[float], each_s: float, begin: int = 0) -> int:
    at = begin
    while plan.should_continue(at):
        clock[0] += each_s
        at += 1
    return at


def test_all_that_is_wanted_where_there_is_time(clock: list[float]) -> None:
    plan = TimeBudget(wanted=50, seconds=360, threads=1, _begun=clock[0])
    assert iterate(plan, clock, 1.0) == 50
    assert plan.active_s == pytest.approx(50)


def test_fewer_where_the_machine_is_slow_and_loading_counts(clock: list[float]) -> None:
    plan = TimeBudget(wanted=150, seconds=100, threads=1, _begun=clock[0])
    clock[0] += 10
    assert iterate(plan, clock, 3.0) == 30
    assert plan.active_s <= 100


def test_the_number_is_settled_once(clock: list[float]) -> None:
    plan = TimeBudget(wanted=150, seconds=100, threads=1, _begun=clock[0])
    for at in range(5):
        assert plan.should_continue(at)
        clock[0] += 2.0
    assert plan.planned == 50
    assert iterate(plan, clock, 9.0, begin=5) == 50


def test_who_goes_on_keeps_the_plan_and_the_time_spent(clock: list[float]) -> None:
    plan = TimeBudget(wanted=150, seconds=100, threads=1, spent_s=40, planned=50, _begun=clock[0])
    assert plan.fraction(25) == 0.5
    assert plan.eta_s(25) == pytest.approx(40)
    assert iterate(plan, clock, 2.0, begin=25) == 50
    assert plan.active_s == pytest.approx(90)


def test_threads_share_the_processors_time(clock: list[float]) -> None:
    plan = TimeBudget(wanted=10, seconds=100, threads=2, _begun=clock[0])
    clock[0] += 8
    assert plan.active_s == 4
