"""``kuaimei analyse``: speech analysis of recordings or of everything in the store."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from kuaimei.analysis.head_store import load_head
from kuaimei.analysis.preemptible import PreemptibleExtractor, timed
from kuaimei.analysis.results import make_result
from kuaimei.analysis.types import SCORES
from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.cli import console
from kuaimei.cli.reanalyse import reanalyse
from kuaimei.engines.asr import open_recognizer
from kuaimei.engines.prosody import EXTRACTOR, open_meter
from kuaimei.engines.prosody.extraction import measure
from kuaimei.engines.protocols import Recognizer, VoiceActivityDetector
from kuaimei.engines.types import Language, Priority, STTReq, Ticket
from kuaimei.engines.vad import open_vad
from kuaimei.engines.vad.segments import speech_segments
from kuaimei.errors import AudioError, SettingsError
from kuaimei.runtime import open_engine
from kuaimei.server.views.analysis import reason_in_words
from kuaimei.settings import AnalysisSettings, Settings
from kuaimei.text.join import join_pieces

__all__ = ["analyse"]

_BAR: Final = 24
_STRONGEST: Final = 4
_SPEAKER: Final = Ticket(session="analyse", priority=Priority.LIVE)

Meter = Literal["own", "librosa", "praat", "opensmile"]


@dataclass(frozen=True, slots=True)
class _Words:
    text: str | None
    language: Language | None = None


def analyse(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Recordings in any common format.")
    ] = None,
    transcript: Annotated[
        str | None, typer.Option(help="Transcript of FILE; recognised if not given.")
    ] = None,
    no_transcript: Annotated[
        bool,
        typer.Option("--no-transcript", help="Analyse without a transcript: no speech rate, no fillers."),
    ] = False,
    meter: Annotated[
        Meter | None, typer.Option(help="Feature extractor; default: KUAIMEI_ANALYSIS__METER.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Analyse all stored utterances that have no analysis yet.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="With --all: also analyse again those that have one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score how confident, stable and affable the speech in FILE sounds, and show why.

    With --all, analyse every stored utterance; Ctrl+C stops, and the next run continues from there.
    """
    settings = console.settings_from(analysis=None if meter is None else AnalysisSettings(meter=meter))
    if everything == bool(files):
        raise SettingsError("give recordings, or --all for all stored utterances")
    if everything and meter is not None:
        raise SettingsError("--all uses the configured meter: set KUAIMEI_ANALYSIS__METER instead of --meter")
    if again and not everything:
        raise SettingsError("--again requires --all")
    if transcript is not None and (no_transcript or len(files or ()) > 1):
        raise SettingsError("--transcript requires a single FILE and excludes --no-transcript")
    if everything:
        told = asyncio.run(reanalyse(settings, again=again))
        console.print_json(told) if as_json else console.print_table(list(told), [list(told.values())])
        return
    if missing := [file for file in files or () if not file.is_file()]:
        raise AudioError(f"no such file: {missing[0]}")
    words = _Words("" if no_transcript else transcript)
    found = asyncio.run(_analyse(settings, files or [], words))
    if as_json:
        console.print_json(found)
        return
    for one in found:
        _show(one)


async def _analyse(settings: Settings, files: Sequence[Path], words: _Words) -> list[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        vad = await stack.enter_async_context(open_engine(settings, "vad", open_vad))
        recognizer: Recognizer | None = None
        if words.text is None:
            recognizer = await stack.enter_async_context(open_engine(settings, "asr", open_recognizer))
        voice = PreemptibleExtractor(open_meter(settings.analysis.meter))  # same block size as in the server
        head = load_head(settings.home)
        found = []
        for file in files:
            pcm = await decode(file, ASR_RATE)
            said = words if recognizer is None else await _heard(pcm, vad(), recognizer, settings)
            measuring = partial(
                measure,
                pcm,
                ASR_RATE,
                vad=vad(),
                meter=voice,
                transcript=said.text or None,
                language=said.language,
            )
            measured, took_s = await asyncio.to_thread(timed, measuring)
            findings = make_result(measured.features, measured.contours, head, took_s)
            found.append(
                {
                    "file": str(file),
                    "audio_s": round(len(pcm) / ASR_RATE, 3),
                    "transcript": said.text or None,
                    "state": "scored" if findings.reason is None else "unscored",
                    "reason": findings.reason,
                    "why": reason_in_words(findings.reason),
                    "scores": findings.scores,
                    "features": findings.features,
                    "contours": findings.contours,
                    "extractor": f"{voice.name}-{EXTRACTOR}",
                    "head": head.version,
                    "took_ms": findings.took_ms,
                }
            )
        return found


async def _heard(pcm: Pcm, vad: VoiceActivityDetector, recognizer: Recognizer, settings: Settings) -> _Words:
    texts: list[str] = []
    spoken: Language | None = None
    for piece in await speech_segments(pcm, vad):
        request = STTReq(language=spoken, hotwords=settings.dialogue.hotwords, ticket=_SPEAKER)
        chunk = await recognizer.transcribe(pcm[piece.start : piece.end], request)
        texts.append(chunk.text)
        spoken = spoken or chunk.language
    return _Words(join_pieces(texts), spoken)


def _show(found: dict[str, Any]) -> None:
    print(f"{found['file']}  ({found['audio_s']:.1f} s)")
    if found["transcript"]:
        print(f"  {found['transcript']}")
    if found["scores"] is None:
        print(f"  no scores: {found['why']}")
    else:
        for name in SCORES:
            _bar(name, found["scores"][name])
    shown = partial(console.print_table, ["feature", "value"])
    shown([[name, f"{value:.3g}"] for name, value in found["features"].items()])


def _bar(name: str, score: dict[str, Any]) -> None:
    full = round(score["value"] * _BAR)
    print(f"  {name:<11} {'█' * full}{'░' * (_BAR - full)} {score['value'] * 100.0:3.0f}")
    strongest = sorted(score["contributions"], key=lambda part: -abs(part["amount"]))[:_STRONGEST]
    reasons = [f"{part['feature']} {part['value']:.3g} ({part['amount']:+.2f})" for part in strongest]
    print(f"  {'':<11} {', '.join(reasons) or 'no feature contributes'}")
