"""Evaluation of cloned voices: each reference, engine, tier and training stage."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.decode import decode
from kuaimei.engines.asr import open_recognizer
from kuaimei.engines.protocols import StyleVoiceBank, ZeroShotCloner
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.speaker import EVAL_ENCODER, TRAINING_ENCODERS, SpeakerEncoder, open_encoder
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.tts.kokoro.hq import open_hq
from kuaimei.engines.types import Language
from kuaimei.engines.vad import open_vad
from kuaimei.errors import KuaimeiError, SettingsError
from kuaimei.evaluation.dnsmos import Dnsmos, load_dnsmos
from kuaimei.evaluation.measure import measure
from kuaimei.evaluation.panel import SpeakerEvaluator, Subject
from kuaimei.evaluation.references import EvaluationReference
from kuaimei.evaluation.report import Stage, Tier, VoiceReport
from kuaimei.evaluation.runs.training import VoiceTrainer, open_voice_trainer
from kuaimei.evaluation.runs.zero_shot import ZeroShotRun
from kuaimei.evaluation.split_reference import split_in_halves
from kuaimei.evaluation.synthesize import SynthesisBackend
from kuaimei.evaluation.training_cache import CachedTraining, TrainingCache
from kuaimei.models.source import EngineSource
from kuaimei.runtime import sources
from kuaimei.settings import Settings
from kuaimei.system.folders import swept_folder
from kuaimei.voices.context import speaker_encoder
from kuaimei.voices.enrolment.pipeline import ReferenceExaminer
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.styles.prediction import nearest_stock, stock_embeddings
from kuaimei.voices.types import Step

__all__ = ["ENCODERS", "Plan", "judge_all"]

ENCODERS: Final = (EVAL_ENCODER, *TRAINING_ENCODERS)
"""The evaluation encoder first; the others are losses, reported beside it."""

_NATIVE: Final[Mapping[Language, tuple[str, ...]]] = {"zh": ("z",), "en": ("a", "b")}
"""First letters of the stock voices that speak a language."""
_JUDGED: Final = "voice_judged"
"""Id of the evaluated voice in the engines."""

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to evaluate.

    Attributes:
        references: One for each speaker.
        steps: Training steps, in order; empty: all that are available here.
        tiers: Tiers to synthesize with.
        long: Base error rates on the long text, too.
        reuse: Folder of the training cache; None: nothing is kept.
    """

    references: Sequence[EvaluationReference]
    steps: Sequence[Step]
    tiers: Sequence[Tier]
    long: bool
    reuse: Path | None


@dataclass(frozen=True, slots=True)
class _Voice:
    """Voice to register with the engines.

    Attributes:
        step: Training stage.
        name: Id in the engines.
        learned: Trained files; None for a stock voice.
    """

    step: Stage
    name: str
    learned: CachedTraining | None = None


async def judge_all(
    settings: Settings, plan: Plan, note: Note, failed: Callable[[str, KuaimeiError], None]
) -> AsyncGenerator[VoiceReport, None]:
    """Yield every report as soon as it is available.

    Args:
        settings: Settings of the user.
        plan: What to evaluate.
        note: Receives progress messages.
        failed: Called with a reference that cannot be used or trained, and why; the others are evaluated.

    Raises:
        WeightsError: If weights are missing.
        SettingsError: If the synthesizer supports neither training nor reference recordings.
    """
    async with _bench(settings, plan, note) as bench:
        for reference in plan.references:
            try:
                async with aclosing(bench.judge(reference)) as findings:
                    async for finding in findings:
                        yield finding
            except KuaimeiError as error:
                failed(reference.name, error)


@dataclass(frozen=True, slots=True)
class _CloningRun:
    """Open engines and evaluators of a run.

    Attributes:
        source: Source of the synthesizer.
        fast: Synthesizer of the fast tier.
        bank: The same one, to register trained voices with.
    """

    plan: Plan
    panel: SpeakerEvaluator
    engine_context: EngineContext
    source: EngineSource
    fast: SynthesisBackend
    bank: StyleVoiceBank
    fitter: VoiceTrainer
    note: Note

    async def judge(self, reference: EvaluationReference) -> AsyncGenerator[VoiceReport, None]:
        """Evaluate one speaker at all stages and tiers."""
        pcm = await decode(reference.path, RATE)
        seen, unseen, at_s = split_in_halves(pcm, RATE)
        self.note(
            f"{reference.name}: trained on the first {at_s:.1f} s, "
            f"evaluated on the other {len(unseen) / RATE:.1f} s"
        )
        subject: Subject | None = None
        steps = self.fitter.fit(reference.name, seen, reference.transcript, self.plan.steps)
        async with aclosing(steps) as results:
            async for step, learned in results:
                if subject is None:
                    met = await self.panel.add_subject(reference.name, learned.language, seen, unseen, RATE)
                    stock = self._nearest(met)
                    subject = met
                    for tier in self.plan.tiers:
                        finding, embedded = await self._tier(met, _Voice("stock", stock), tier)
                        subject = replace(
                            subject,
                            stock={**subject.stock, tier: embedded},
                            stock_errors={**subject.stock_errors, tier: finding.error_rate},
                        )
                        yield finding
                for tier in self.plan.tiers:
                    yield (await self._tier(subject, _Voice(step, _JUDGED, learned), tier))[0]

    async def _tier(
        self, subject: Subject, voice: _Voice, tier: Tier
    ) -> tuple[VoiceReport, Mapping[str, NDArray[np.float32]]]:
        self.note(f"{subject.name}: {voice.step}, {tier} …")
        async with self._speaker(voice, tier) as speaker:
            return await measure(
                self.panel,
                subject,
                speaker,
                voice.name,
                engine=self.source.name,
                tier=tier,
                step=voice.step,
                long=self.plan.long,
                learned_s=0.0 if voice.learned is None else voice.learned.took_s,
            )

    @asynccontextmanager
    async def _speaker(self, voice: _Voice, tier: Tier) -> AsyncIterator[SynthesisBackend]:
        """Open the synthesizer of the tier with the voice registered."""
        learned = voice.learned
        if tier == "fast":
            if learned is not None:
                self.bank.put_voice(voice.name, learned.style)
            try:
                yield self.fast
            finally:
                if learned is not None:
                    self.bank.drop_voice(voice.name)
            return
        decoder = None if learned is None else learned.decoder
        async with open_hq(self.engine_context, self.source, decoder) as beautiful:
            if learned is not None:
                beautiful.put_voice(voice.name, learned.style)
            yield beautiful

    def _nearest(self, subject: Subject) -> str:
        """Return the stock voice of the language most similar to the half that voices are fitted to."""
        native = stock_embeddings(self.bank.stock, _NATIVE[subject.language])
        if not native:
            raise SettingsError(
                "there are no stock voices for that language; run: kuaimei models pull kokoro"
            )
        return nearest_stock(subject.seen["ge2e"], native)[0]


@asynccontextmanager
async def _bench(settings: Settings, plan: Plan, note: Note) -> AsyncIterator["_CloningRun | ZeroShotRun"]:
    found = sources(settings)
    engine_context = EngineContext(settings, Scheduler("cores", settings.engines.cores))
    source = found["tts"]
    weights = None if source.path is None else source.path / "fp32.onnx"
    encoders, dnsmos = await asyncio.to_thread(_judges, settings)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        fast = await enter(open_synthesizer(engine_context, source))
        recognizer = await enter(open_recognizer(engine_context, found["asr"]))
        vad = await enter(open_vad(engine_context, found["vad"]))
        panel = SpeakerEvaluator(encoders, dnsmos, recognizer)
        if isinstance(fast, ZeroShotCloner):
            examiner = ReferenceExaminer(
                vad, recognizer, partial(speaker_encoder, settings), engine_context.cores
            )
            yield ZeroShotRun(panel, source.name, fast, fast, examiner, plan.tiers, plan.long, note)
            return
        if source.engine != "kokoro" or not isinstance(fast, StyleVoiceBank):
            raise SettingsError(
                f"{source.name} does not accept other voices: set KUAIMEI_TTS to kokoro, "
                "or to the address of a worker that does"
            )
        runtime = stack.enter_context(swept_folder(settings.home / "run", "bench"))
        fitter = await enter(
            open_voice_trainer(
                settings,
                engine_context,
                fast,
                recognizer,
                vad,
                home=runtime,
                weights=weights,
                kept=TrainingCache(plan.reuse or runtime / "learned"),
                note=note,
            )
        )
        if not plan.steps:
            plan = replace(plan, steps=_as_far_as_possible(fitter.unavailable_reason, note))
        yield _CloningRun(plan, panel, engine_context, source, fast, fast, fitter, note)


def _as_far_as_possible(hindrance: str, note: Note) -> tuple[Step, ...]:
    if hindrance:
        note(f"Only stages that need no training are evaluated: {hindrance}.")
        return ("predicted",)
    return ("predicted", "style", "decoder")


def _judges(settings: Settings) -> tuple[dict[str, SpeakerEncoder], Dnsmos]:
    folder = settings.weights_dir
    return {name: open_encoder(folder / name) for name in ENCODERS}, load_dnsmos(folder / "dnsmos")
