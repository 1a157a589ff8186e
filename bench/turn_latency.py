"""Latency of this server and of a plain streaming pipeline of the same engines, in one run.

    python -m bench.turn_latency FOLDER_OF_RECORDINGS [--turns 20] [--json]

Every recording is spoken in real time; turns of the two alternate, so that both see the same machine load.
Milliseconds from the last voiced frame. ``bench/clips.tsv`` lists what is said in each known recording.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from bench.plain_pipeline import PlainTurn, plain_turn
from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.cli.console import note, print_json, print_table
from kuaimei.engines.asr.hallucination_filter import Hypothesis
from kuaimei.engines.asr.whisper import WhisperRecognizer
from kuaimei.engines.asr.whisper_decoder import FULL_WINDOW_S, WhisperDecoder, WhisperInput, load_whisper
from kuaimei.engines.types import Language, Message
from kuaimei.evaluation.runs.replay import TurnCollector, TurnReport, feed
from kuaimei.runtime import open_runtime
from kuaimei.settings import Settings
from kuaimei.text.error_rate import error_rate
from kuaimei.text.join import join_pieces

STAGES = ["endpoint_ms", "transcript_ms", "first_token_ms", "first_clause_ms", "first_audio_ms"]


class Padded(WhisperDecoder):
    """Decoder with the same model whose window is always padded to 30 s."""

    def __init__(self, decoder: WhisperDecoder) -> None:
        self._decoder = decoder

    def encode(self, pcm: Pcm, language: Language | None, *, least_s: float = FULL_WINDOW_S) -> WhisperInput:
        """Encode with the full window, whatever ``least_s`` is."""
        return self._decoder.encode(pcm, language, least_s=FULL_WINDOW_S)

    def decode(
        self, heard: WhisperInput, prompt: str = "", *, beams: int = 1, temperature: float = 0.0
    ) -> Hypothesis:
        """Decode with the wrapped model."""
        return self._decoder.decode(heard, prompt, beams=beams, temperature=temperature)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--no-plain", action="store_true", help="leave the yardstick out")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    ours, plain = asyncio.run(run(args.folder, args.turns, with_plain=not args.no_plain))
    result = summary(args.folder, ours, plain)
    if args.json:
        print_json(result)
        return
    rows: list[list[object]] = []
    for stage in STAGES:
        mine = [v for t in ours if (v := getattr(t, stage)) is not None]
        yard = [getattr(t, stage) for t in plain]
        rows.append(
            [
                stage,
                *_row(mine),
                *(_row(yard) if yard else [None] * 3),
                statistics.median(mine) / statistics.median(yard) if yard else None,
            ]
        )
    print_table(
        ["ms", "P50", "P95", "max", "plain P50", "P95", "max", "ratio P50"], rows, title=f"{len(ours)} turns"
    )
    print(json.dumps({k: v for k, v in result.items() if not isinstance(v, dict | list)}, ensure_ascii=False))


async def run(folder: Path, turns: int, *, with_plain: bool) -> tuple[list[TurnReport], list[PlainTurn]]:
    """Alternate turns of the two.

    Args:
        folder: Folder of the recordings.
        turns: Number of turns of each.
        with_plain: Run the plain pipeline, too.
    """
    paths = sorted(folder.glob("*.wav"))
    if not paths:
        sys.exit(f"no .wav in {folder}")
    clips = {path: await decode(path, ASR_RATE) for path in paths}
    settings = Settings()
    plain: list[PlainTurn] = []
    async with open_runtime(settings, keep=False, progress=lambda name: note(f"ready: {name}")) as runtime:
        rehearsal = TurnCollector()
        asr = next(source for source in runtime.loaded if source.role == "asr")
        assert asr.path is not None, "the yardstick needs Whisper on this machine"
        decoder = await asyncio.to_thread(load_whisper, asr.path, settings.engines.cores)
        padded = WhisperRecognizer(Padded(decoder), runtime.schedulers[0])
        history = [Message(role="system", content=settings.dialogue.system_prompt)]
        async with runtime.open_conversation("bench", [rehearsal]) as conversation:
            for path in islice(cycle(paths), turns):
                rehearsal.begin(path.name)
                await feed(conversation, rehearsal, clips[path])
                note(f"ours  {path.name}: {rehearsal.turns[-1].first_audio_ms}")
                if with_plain:
                    del history[1:-6]
                    plain.append(
                        await plain_turn(
                            clips[path],
                            history,
                            vad=runtime.engines.vad,
                            recognizer=padded,
                            language_model=runtime.engines.language_model,
                            synthesizer=runtime.engines.synthesizer,
                            max_tokens=settings.dialogue.max_reply_tokens,
                        )
                    )
                    note(f"plain {path.name}: {plain[-1].first_audio_ms:.0f}")
    return rehearsal.turns, plain


def summary(folder: Path, ours: list[TurnReport], plain: list[PlainTurn]) -> dict[str, object]:
    """Return all measurements, ready for JSON.

    Args:
        folder: Folder of the recordings; not used.
        ours: Turns of this server.
        plain: Turns of the plain pipeline.
    """
    said = dict(_references())
    result: dict[str, object] = {"turns": len(ours)}
    for language in ("zh", "en"):
        pairs = [(said[f][1], heard) for f, heard in _clips(ours) if said.get(f, ("",))[0] == language]
        if pairs:
            result[f"{'cer' if language == 'zh' else 'wer'}_{language}"] = round(
                error_rate(pairs, language), 4
            )
    result["ours"] = {stage: figures([getattr(t, stage) for t in ours]) for stage in STAGES}
    if plain:
        result["plain"] = {stage: figures([getattr(t, stage) for t in plain]) for stage in STAGES}
        mine = statistics.median([t.first_audio_ms for t in ours if t.first_audio_ms is not None])
        result["first_audio_ratio_p50"] = round(
            mine / statistics.median([t.first_audio_ms for t in plain]), 3
        )
    result["gaps_s"] = figures([t.gaps_s for t in ours])
    result["each"] = [t.public() for t in ours]
    return result


def _clips(turns: list[TurnReport]) -> list[tuple[str, str]]:
    """Return each recording with its whole transcript, joined if it made more than one turn."""
    heard: dict[int, tuple[str, str]] = {}
    for turn in turns:
        before = heard.get(turn.clip, (turn.file, ""))[1]
        heard[turn.clip] = (turn.file, join_pieces([before, turn.transcript]))
    return list(heard.values())


def _references() -> list[tuple[str, tuple[str, str]]]:
    lines = Path(__file__).with_name("clips.tsv").read_text(encoding="utf-8").splitlines()
    return [(name, (language, text)) for name, language, text in (line.split("\t") for line in lines)]


def figures(values: Sequence[float | None]) -> dict[str, float]:
    """Return P50, P95 and maximum of the known values."""
    p50, p95, worst = _row([v for v in values if v is not None])
    return {"p50": p50, "p95": p95, "max": worst}


def _row(values: list[float]) -> list[float]:
    ordered = sorted(values)
    if not ordered:
        return [float("nan")] * 3
    return [
        round(statistics.median(ordered), 1),
        round(ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))], 1),
        round(ordered[-1], 1),
    ]


if __name__ == "__main__":
    main()
