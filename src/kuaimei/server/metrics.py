"""What can be measured of the server, for Prometheus."""

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
    """Reads the queues when asked, not when they change."""

    def __init__(self, schedulers: Sequence[Scheduler]) -> None:
        self._schedulers = schedulers

    def collect(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily("kuaimei_queue_depth", "Requests that wait for an engine", labels=["lane"])
        busy = GaugeMetricFamily("kuaimei_queue_busy", "Units of an engine's lane lent now", labels=["lane"])
        for scheduler in self._schedulers:
            depth.add_metric([scheduler.name], scheduler.depth)
            busy.add_metric([scheduler.name], scheduler.busy)
        return iter((depth, busy))


class _HqCollector(Collector):
    """The second tier, and the models loaded on demand; read when asked, too."""

    def __init__(self, tier: HqTier) -> None:
        self._tier = tier

    def collect(self) -> Iterator[Metric]:
        counts, models = self._tier.counts, self._tier.model_cache.counters
        replies = CounterMetricFamily(
            "kuaimei_hq_replies", "Replies rendered a second time, by what came of it", labels=["outcome"]
        )
        for outcome in ("ready", "dropped", "retried", "failed"):
            replies.add_metric([outcome], getattr(counts, outcome))
        yield replies
        for name, text, value in (
            ("hq_audio_seconds", "Audio of second renderings", counts.audio_s),
            ("hq_render_seconds", "Time spent on rendering them, queueing included", counts.render_s),
            ("hq_waited_seconds", "Time they waited until nobody was talking", counts.waited_s),
            ("models_loaded", "Models loaded on demand", models.loads),
            ("models_hits", "Uses of a model that was loaded already", models.hits),
            ("models_evicted", "Models put out for others", models.evictions),
            ("models_unloaded", "Models let go because nobody had needed them for long", models.unloads),
            ("models_failed", "Loads that failed", models.failures),
            ("models_load_seconds", "Time spent on loading them", models.load_s),
        ):
            yield CounterMetricFamily(f"kuaimei_{name}", text, value=value)
        memory = "Memory counted for models loaded on demand"
        yield GaugeMetricFamily(
            "kuaimei_models_memory_bytes", memory, value=self._tier.model_cache.used_mb * 1024 * 1024
        )


class _Analysis(Collector):
    """How people spoke; read when asked. How much waits, whoever reads the metrics has asked before."""

    def __init__(self, room: AnalysisService) -> None:
        self._room = room
        self.waiting: int | None = None

    def collect(self) -> Iterator[Metric]:
        counts = self._room.counts
        outcomes = CounterMetricFamily(
            "kuaimei_analyses",
            "Utterances analysed: scored, the reason why not, or retried",
            labels=["outcome"],
        )
        for outcome, count in {**dict.fromkeys(_OUTCOMES, 0), **counts.outcomes}.items():
            outcomes.add_metric([outcome], count)
        outcomes.add_metric(["retried"], counts.retried)
        yield outcomes
        for name, text, value in (
            ("audio_seconds", "Audio that was measured", counts.audio_s),
            ("computing_seconds", "Time of one core spent on that", counts.computing_s),
            ("waited_seconds", "Time it waited until nobody was talking", counts.waited_s),
        ):
            yield CounterMetricFamily(f"kuaimei_analysis_{name}", text, value=value)
        if self.waiting is not None:
            text = "Utterances still to be analysed"
            yield GaugeMetricFamily("kuaimei_analysis_waiting", text, value=self.waiting)


class _Refused(Collector):
    """Who was not let in; read when asked."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def collect(self) -> Iterator[Metric]:
        text = "Requests refused at the entrance, by reason"
        refused = CounterMetricFamily("kuaimei_refused", text, labels=["reason"])
        for reason, count in self._refusals.counts.items():
            refused.add_metric([reason], count)
        yield refused


class _Tasks(Collector):
    """What goes on in the background; read when asked."""

    def __init__(self, tasks: Supervisor) -> None:
        self._tasks = tasks

    def collect(self) -> Iterator[Metric]:
        failures = CounterMetricFamily(
            "kuaimei_task_failures", "Background tasks that failed and were started again", labels=["task"]
        )
        for name, count in self._tasks.failures.items():
            failures.add_metric([name], count)
        yield failures


class _Store:
    """What is kept; asked of the store whenever the metrics are read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(f"kuaimei_store_{name}", text, labels, registry=registry)

        self._up = gauge("up", "The database answers")
        self._sessions = gauge("sessions", "Sessions kept")
        self._utterances = gauge("utterances", "Utterances kept")
        self._speech = gauge("speech_seconds", "Audio kept")
        self._bytes = gauge("bytes", "Size of all recordings")
        self._unsaved = gauge("unsaved", "Utterances not yet wholly in the database")
        self._lost = gauge("lost_bytes", "Audio that could not even be spooled")
        self._failures = gauge("failures", "Attempts to keep something that failed")
        self._broken = gauge("broken", "Utterances that can never be kept, put aside with their sound")
        self._deleting = gauge("deleting", "Deletions that go on")
        self._free = Gauge(
            "kuaimei_disk_free_bytes", "Room on the fullest of the disks that are written", registry=registry
        )
        self._jobs = gauge("jobs", "Durable jobs by status", ["status"])

    def update(self, known: Statistics | None) -> None:
        """Take note of ``known``; None: the store does not answer."""
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
    """An observer of all conversations at once; also counts sessions and failed requests.

    Latencies count from the last voiced frame of the user.

    Args:
        lanes: The engines' queues.
        hq: The second tier; None: there is none.
        analysis: Of how people speak; None: there is none.
        tasks: What goes on in the background; None: nothing does.

    Attributes:
        registry: What ``/metrics`` shows.
        store: Gauges of what is kept.
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

        self._latencies = _Latencies(
            endpoint=seconds("endpoint_delay", "From the last voiced frame to the end of the turn"),
            transcript=seconds("transcript", "… to the final transcript"),
            first_token=seconds("first_token", "… to the language model's first text (TTFT)"),
            first_clause=seconds("first_clause", "… to the first clause that can be spoken"),
            first_audio=seconds("first_audio", "… to the first audio of the reply"),
            last_audio=seconds("last_audio", "… to the last audio of the reply handed over"),
        )
        self._synthesis = seconds("clause_synthesis", "From asking for a clause to its first audio")
        self._rtf = Histogram(
            "kuaimei_asr_rtf",
            "Recognition time by length of the last piece of speech, queueing included",
            buckets=_RTF,
            registry=registry,
        )
        self._tokens_per_s = Histogram(
            "kuaimei_llm_tokens_per_second", "Writing speed of a reply", buckets=_RATES, registry=registry
        )
        self._tokens = Counter("kuaimei_llm_tokens", "Pieces of text written", registry=registry)
        self._turns = Counter("kuaimei_turns", "Turns brought to their end", registry=registry)
        self._speech = Counter("kuaimei_reply_audio_seconds", "Audio of replies made", registry=registry)
        self._barge_ins = Counter("kuaimei_barge_ins", "Replies interrupted by the user", registry=registry)
        self._false_alarms = Counter(
            "kuaimei_false_alarms", "Replies held and then resumed (backchannel, cough)", registry=registry
        )
        self._dropped = Counter("kuaimei_speech_dropped", "Sounds that were no turn", registry=registry)
        self._speculations = Counter(
            "kuaimei_speculations", "Turns begun on a guess", ["outcome"], registry=registry
        )
        self._errors = Counter(
            "kuaimei_errors", "Failures by stage and kind", ["stage", "kind"], registry=registry
        )
        self._sessions = Gauge("kuaimei_sessions", "Conversations open now", registry=registry)
        self._waiting = Gauge("kuaimei_sessions_waiting", "Sessions in the queue", registry=registry)
        self._refused = Counter("kuaimei_sessions_refused", "Connections turned away", registry=registry)

    def __call__(self, event: Event) -> None:
        """Take note of one step of any conversation."""
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
        """Something failed outside or inside a conversation."""
        self._errors.labels(stage, kind).inc()

    def sessions(self, count: int, waiting: int = 0) -> None:
        """So many conversations are open, and so many sessions wait for a place."""
        self._sessions.set(count)
        self._waiting.set(waiting)

    def analysis_backlog(self, waiting: int | None) -> None:
        """So many utterances are still to be analysed; None: that cannot be told."""
        if self._analysis is not None:
            self._analysis.waiting = waiting

    def refused(self) -> None:
        """A connection was turned away."""
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
