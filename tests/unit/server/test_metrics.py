from prometheus_client import generate_latest

from kuaimei.dialogue.events import (
    ClauseReady,
    ReplyInterrupted,
    ReplyResumed,
    SpeculationDropped,
    SpeculationStarted,
    SpeechRejected,
    StateChanged,
    TurnFailed,
    TurnLatencies,
    TurnMetrics,
)
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Ticket
from kuaimei.server.metrics import Metrics
from kuaimei.store.rows import Statistics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"kuaimei_{name}", labels)


def test_a_turn_is_measured() -> None:
    metrics = Metrics()
    timing = TurnLatencies(
        endpoint_ms=450.0,
        first_token_ms=-20.0,  # guessed before the turn was over
        first_audio_ms=1200.0,
        speech_s=4.0,
        recognition_s=0.8,
        tokens=30,
        writing_s=2.0,
        reply_audio_s=6.5,
    )
    metrics(TurnMetrics(1, 0.0, timing))
    assert value(metrics, "endpoint_delay_seconds_sum") == 0.45
    assert value(metrics, "first_token_seconds_sum") == 0.0
    assert value(metrics, "first_audio_seconds_bucket", le="1.3") == 1
    assert value(metrics, "first_audio_seconds_bucket", le="1.0") == 0
    assert value(metrics, "transcript_seconds_count") == 0
    assert value(metrics, "asr_rtf_sum") == 0.2
    assert value(metrics, "llm_tokens_per_second_sum") == 15.0
    assert value(metrics, "reply_audio_seconds_total") == 6.5


def test_steps_are_counted() -> None:
    metrics = Metrics()
    metrics(ClauseReady(1, 0.0, "r", 0, "好", 0.0, 250.0))
    metrics(ReplyInterrupted(1, 0.0, "r", 1.0, "", "barge_in"))
    metrics(ReplyInterrupted(1, 0.0, "r", 1.0, "", "cancelled"))
    metrics(ReplyResumed(1, 0.0, "r", 1.0))
    metrics(SpeechRejected(1, 0.0, "嗯"))
    metrics(SpeculationStarted(1, 0.0))
    metrics(SpeculationDropped(1, 0.0))
    metrics(TurnFailed(1, 0.0, "thinking", "unavailable", "m", "a"))
    metrics(StateChanged(1, 0.0, "thinking"))
    assert value(metrics, "clause_synthesis_seconds_sum") == 0.25
    assert value(metrics, "barge_ins_total") == 1
    assert value(metrics, "false_alarms_total") == 1
    assert value(metrics, "speech_dropped_total") == 1
    assert value(metrics, "speculations_total", outcome="dropped") == 1
    assert value(metrics, "errors_total", stage="thinking", kind="unavailable") == 1


async def test_queues_are_read_when_asked() -> None:
    scheduler = Scheduler("cores", 2)
    metrics = Metrics([scheduler])
    async with scheduler.acquire(Ticket(), 2):
        assert value(metrics, "queue_busy", lane="cores") == 2
    assert value(metrics, "queue_busy", lane="cores") == 0


def test_what_is_kept() -> None:
    metrics = Metrics()
    metrics.store.update(Statistics(3, 9, 60.0, 1000, 1, 0, 2, {"todo": 4}))
    assert value(metrics, "store_jobs", status="todo") == 4
    more = {"broken": 5, "deleting": 6, "disk_free_bytes": 7}
    metrics.store.update(Statistics(3, 9, 60.0, 1000, 1, 0, 2, {}, **more))
    assert [value(metrics, name) for name in ("store_broken", "store_deleting", "disk_free_bytes")] == [
        5,
        6,
        7,
    ]
    assert value(metrics, "store_jobs", status="todo") is None
    metrics.store.update(None)
    assert value(metrics, "store_up") == 0
    assert b"kuaimei_store_sessions 3.0" in generate_latest(metrics.registry)
