"""What the bench of starts says of them."""

from bench.starts import Start, report


def test_failures_are_told_with_what_they_said() -> None:
    starts = [Start(number, 8.0 + number, 1.0, 0, 0) for number in range(19)]
    assert report(starts).splitlines() == [
        "19 starts, 0 failed",
        "ready_s: median 17.00, p95 25.00, worst 26.00",
        "stop_s: median 1.00, p95 1.00, worst 1.00",
    ]
    hung = Start(19, None, None, -9, 0, "waiting for: asr")
    told = report([*starts, hung])
    assert told.startswith("20 starts, 1 failed")
    assert told.endswith("--- start 20\nwaiting for: asr")


def test_a_start_is_good_only_if_it_ended_well_and_left_nothing() -> None:
    assert Start(0, 8.0, 1.0, 0, 0).good
    for bad in (
        Start(0, None, 1.0, 0, 0),
        Start(0, 8.0, None, -9, 0),
        Start(0, 8.0, 1.0, 1, 0),
        Start(0, 8.0, 1.0, 0, 3),
    ):
        assert not bad.good
