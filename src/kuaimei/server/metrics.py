"""Prometheus metrics of the server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from kuaimei.analysis.service import AnalysisService
from kuaimei.analysis.types import Reason
from kuaimei.dialogue.events import (
    ClauseReady,
    Event,
    ReplyInterrupted,
    ReplyResumed,
    SpeculationDropped,
    SpeculationStarted,
    SpeechRejected,
    TurnFailed,
    TurnLatencies,
    TurnMetrics,
)
from kuaimei.engines.scheduling import Scheduler
from kuaimei.http.refusals import Refusals
from kuaimei.rendering.hq_tier import HqTier
from kuaimei.store.rows import Statistics
from kuaimei.system.supervision import Supervisor

__all__ = ["Metrics"]

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
_RTF = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0, 5.0)
_OUTCOMES = ("scored", *get_args(Reason))
_RATES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0)


class _QueueCollector(Collector):
    """Length and use of the engine queues, read at every scrape."""

    def __init__(self, schedulers: Sequence[Scheduler]) -> None:
        self._schedulers = schedulers

    def collect(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily("kuaimei_queue_depth", "Requests waiting for an engine", labels=["lane"])
        busy = GaugeMetricFamily("kuaimei_queue_busy", "Units of an engine's lane in use", labels=["lane"])
        for scheduler in self._schedulers:
            depth.add_metric([scheduler.name], scheduler.depth)
            busy.add_metric([scheduler.name], scheduler.busy)
        return iter((depth, busy))


class _HqCollector(Collector):
    """Counters of the high-quality tier and of models loaded on demand, read at every scrape."""

    def __init__(self, tier: HqTier) -> None:
        self._tier = tier

    def collect(self) -> Iterator[Metric]:
        counts, models = self._tier.counts, self._tier.model_cache.counters
        replies = CounterMetricFamily(
            "kuaimei_hq_replies", "High-quality renderings of replies, by outcome", labels=["outcome"]
        )
        for outcome in ("ready", "dropped", "retried", "failed"):
            replies.add_metric([outcome], getattr(counts, outcome))
        yield replies
        for name, text, value in (
            ("hq_audio_seconds", "Audio of high-quality renderings", counts.audio_s),
            (
                "hq_render_seconds",
                "Time spent on high-quality rendering, with queueing",
                counts.render_s,
            ),
            ("hq_waited_seconds", "Time spent waiting for conversations to be idle", counts.waited_s),
            ("models_loaded", "Models loaded on demand", models.loads),
            ("models_hits", "Uses of a model that was already loaded", models.hits),
            ("models_evicted", "Models evicted for others", models.evictions),
            ("models_unloaded", "Models unloaded after a long time without use", models.unloads),
            ("models_failed", "Failed attempts to load a model", models.failures),
            ("models_load_seconds", "Time spent loading models", models.load_s),
        ):
            yield CounterMetricFamily(f"kuaimei_{name}", text, value=value)
        memory = "Memory budgeted for models loaded on demand"
        yield GaugeMetricFamily(
            "kuaimei_models_memory_bytes", memory, value=self._tier.model_cache.used_mb * 1024 * 1024
        )


class _Analysis(Collector):
    """Counters of the speech analysis, read at every scrape; the scrape's handler sets the backlog."""

    def __init__(self, room: AnalysisService) -> None:
        self._room = room
        self.waiting: int | None = None

    def collect(self) -> Iterator[Metric]:
        counts = self._room.counts
        outcomes = CounterMetricFamily(
            "kuaimei_analyses",
            "Utterances analysed, by outcome: scored, the reason for not scoring, or retried",
            labels=["outcome"],
        )
        for outcome, count in {**dict.fromkeys(_OUTCOMES, 0), **counts.outcomes}.items():
            outcomes.add_metric([outcome], count)
        outcomes.add_metric(["retried"], counts.retried)
        yield outcomes
        for name, text, value in (
            ("audio_seconds", "Audio analysed", counts.audio_s),
            ("computing_seconds", "CPU time spent on analysis", counts.computing_s),
            ("waited_seconds", "Time analysis spent waiting for conversations to be idle", counts.waited_s),
        ):
            yield CounterMetricFamily(f"kuaimei_analysis_{name}", text, value=value)
        if self.waiting is not None:
            text = "Utterances waiting for analysis"
            yield GaugeMetricFamily("kuaimei_analysis_waiting", text, value=self.waiting)


class _Refused(Collector):
    """Refused requests by reason, read at every scrape."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def collect(self) -> Iterator[Metric]:
        text = "Requests refused by access control, by reason"
        refused = CounterMetricFamily("kuaimei_refused", text, labels=["reason"])
        for reason, count in self._refusals.counts.items():
            refused.add_metric([reason], count)
        yield refused


class _Tasks(Collector):
    """Failures of background tasks, read at every scrape."""

    def __init__(self, tasks: Supervisor) -> None:
        self._tasks = tasks

    def collect(self) -> Iterator[Metric]:
        failures = CounterMetricFamily(
            "kuaimei_task_failures", "Background tasks that failed and were restarted", labels=["task"]
        )
        for name, count in self._tasks.failures.items():
            failures.add_metric([name], count)
        yield failures


class _Store:
    """Gauges of the store, updated at every scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(f"kuaimei_store_{name}", text, labels, registry=registry)

        self._up = gauge("up", "Whether the database is available: 1 or 0")
        self._sessions = gauge("sessions", "Sessions stored")
        self._utterances = gauge("utterances", "Utterances stored")
        self._speech = gauge("speech_seconds", "Audio stored")
        self._bytes = gauge("bytes", "Size of all recordings")
        self._unsaved = gauge("unsaved", "Utterances not yet completely stored in the database")
        self._lost = gauge("lost_bytes", "Audio lost because it could not be spooled either")
        self._failures = gauge("failures", "Failed attempts to store something")
        self._broken = gauge("broken", "Utterances that can never be stored, set aside with their audio")
        self._deleting = gauge("deleting", "Deletions in progress")
        self._free = Gauge(
            "kuaimei_disk_free_bytes", "Free space on the fullest of the disks in use", registry=registry
        )
        self._jobs = gauge("jobs", "Durable jobs by status", ["status"])

    def update(self, known: Statistics | None) -> None:
        """Set the gauges to ``known``; None: the store does not answer."""
        self._up.set(known is not None)
        if known is None:
            return
        self._sessions.set(known.sessions)
        self._utterances.set(known.utterances)
        self._speech.set(known.speech_s)
        self._bytes.set(known.bytes)
        self._unsaved.set(known.unsaved)
        self._lost.set(known.lost_bytes)
        self._failures.set(known.failures)
        self._broken.set(known.broken)
        if known.disk_free_bytes is not None:
            self._free.set(known.disk_free_bytes)
        self._deleting.set(known.deleting)
        self._jobs.clear()
        for status, count in known.jobs.items():
            self._jobs.labels(status).set(count)


@dataclass(frozen=True, slots=True)
class _Latencies:
    endpoint: Histogram
    transcript: Histogram
    first_token: Histogram
    first_clause: Histogram
    first_audio: Histogram
    last_audio: Histogram


class Metrics:
    """Observer of all conversations; also counts sessions and failed requests.

    Latencies count from the last voiced frame of the user.

    Args:
        schedulers: Schedulers of the engines.
        hq: The high-quality tier; None: there is none.
        analysis: The speech analysis; None: there is none.
        refusals: Refused requests; None: not exported.
        tasks: Background tasks; None: not exported.

    Attributes:
        registry: Everything that ``/metrics`` exports.
        store: Gauges of the store.
    """

    def __init__(
        self,
        schedulers: Sequence[Scheduler] = (),
        hq: HqTier | None = None,
        analysis: AnalysisService | None = None,
        refusals: Refusals | None = None,
        tasks: Supervisor | None = None,
    ) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(_QueueCollector(schedulers))
        if hq is not None:
            registry.register(_HqCollector(hq))
        if refusals is not None:
            registry.register(_Refused(refusals))
        if tasks is not None:
            registry.register(_Tasks(tasks))
        self.store = _Store(registry)
        self._analysis = None if analysis is None else _Analysis(analysis)
        if self._analysis is not None:
            registry.register(self._analysis)

        def seconds(name: str, text: str) -> Histogram:
            return Histogram(f"kuaimei_{name}_seconds", text, buckets=_SECONDS, registry=registry)

        since_speech = "Time from the last voiced frame to"
        self._latencies = _Latencies(
            endpoint=seconds("endpoint_delay", f"{since_speech} the end of the turn"),
            transcript=seconds("transcript", f"{since_speech} the final transcript"),
            first_token=seconds("first_token", f"{since_speech} the language model's first token (TTFT)"),
            first_clause=seconds("first_clause", f"{since_speech} the reply's first clause"),
            first_audio=seconds("first_audio", f"{since_speech} the reply's first audio"),
            last_audio=seconds("last_audio", f"{since_speech} the output of the reply's last audio"),
        )
        self._synthesis = seconds("clause_synthesis", "Time from requesting a clause to its first audio")
        self._rtf = Histogram(
            "kuaimei_asr_rtf",
            "Recognition time, including queueing, relative to the length of the last speech segment",
            buckets=_RTF,
            registry=registry,
        )
        self._tokens_per_s = Histogram(
            "kuaimei_llm_tokens_per_second", "Generation speed of a reply", buckets=_RATES, registry=registry
        )
        self._tokens = Counter(
            "kuaimei_llm_tokens", "Tokens received from the language model", registry=registry
        )
        self._turns = Counter("kuaimei_turns", "Turns completed", registry=registry)
        self._speech = Counter(
            "kuaimei_reply_audio_seconds", "Audio synthesized for replies", registry=registry
        )
        self._barge_ins = Counter("kuaimei_barge_ins", "Replies interrupted by the user", registry=registry)
        self._false_alarms = Counter(
            "kuaimei_false_alarms", "Replies paused and then resumed (backchannel, cough)", registry=registry
        )
        self._dropped = Counter(
            "kuaimei_speech_dropped", "Detected sounds rejected as turns", registry=registry
        )
        self._speculations = Counter(
            "kuaimei_speculations", "Speculative turns", ["outcome"], registry=registry
        )
        self._errors = Counter(
            "kuaimei_errors", "Failures by stage and kind", ["stage", "kind"], registry=registry
        )
        self._sessions = Gauge("kuaimei_sessions", "Active conversations", registry=registry)
        self._waiting = Gauge("kuaimei_sessions_waiting", "Queued sessions", registry=registry)
        self._refused = Counter("kuaimei_sessions_refused", "Connections refused", registry=registry)

    def __call__(self, event: Event) -> None:
        """Record one event of any conversation."""
        match event:
            case TurnMetrics(timing=timing):
                self._timed(timing)
            case ClauseReady(synthesis_ms=synthesis_ms):
                self._synthesis.observe(synthesis_ms / 1000.0)
            case ReplyInterrupted(reason="barge_in"):
                self._barge_ins.inc()
            case ReplyResumed():
                self._false_alarms.inc()
            case SpeechRejected():
                self._dropped.inc()
            case SpeculationStarted():
                self._speculations.labels("started").inc()
            case SpeculationDropped():
                self._speculations.labels("dropped").inc()
            case TurnFailed(stage=stage, kind=kind):
                self.failed(stage, kind)
            case _:
                pass

    def failed(self, stage: str, kind: str) -> None:
        """Count a failure, inside or outside of a conversation."""
        self._errors.labels(stage, kind).inc()

    def sessions(self, count: int, waiting: int = 0) -> None:
        """Record how many conversations are open and how many sessions are queued."""
        self._sessions.set(count)
        self._waiting.set(waiting)

    def analysis_backlog(self, waiting: int | None) -> None:
        """Record how many utterances are still to be analysed; None: unknown."""
        if self._analysis is not None:
            self._analysis.waiting = waiting

    def refused(self) -> None:
        """Count a refused connection."""
        self._refused.inc()

    def _timed(self, timing: TurnLatencies) -> None:
        self._turns.inc()
        marks = (
            (self._latencies.endpoint, timing.endpoint_ms),
            (self._latencies.transcript, timing.transcript_ms),
            (self._latencies.first_token, timing.first_token_ms),
            (self._latencies.first_clause, timing.first_clause_ms),
            (self._latencies.first_audio, timing.first_audio_ms),
            (self._latencies.last_audio, timing.last_audio_ms),
        )
        for histogram, ms in marks:
            if ms is not None:
                histogram.observe(max(0.0, ms) / 1000.0)
        if timing.speech_s > 0:
            self._rtf.observe(timing.recognition_s / timing.speech_s)
        if timing.writing_s > 0 and timing.tokens:
            self._tokens_per_s.observe(timing.tokens / timing.writing_s)
        self._tokens.inc(timing.tokens)
        self._speech.inc(timing.reply_audio_s)
