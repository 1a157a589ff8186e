"""Time until an uploaded voice can be used, and its synthesis speed.

python -m bench.cloned_voice RECORDING [--said TEXT] [--times 7] [--json]
"""

import argparse
import asyncio
import statistics
import time
from pathlib import Path

from bench.enrolment import enrolled
from bench.temp_home import private_home
from kuaimei.audio.streams import collect_pcm
from kuaimei.cli.console import note, print_json, print_table
from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.runtime import open_runtime
from kuaimei.settings import RenderingSettings, Settings, VoiceSettings
from kuaimei.text.clauses import ClauseSegmenter

TEXT = "今天下午的會議改到三點半，地點在二樓的大會議室，請大家帶著上週的報告，也記得先把資料看過一遍，謝謝。"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", type=Path)
    parser.add_argument("--said", default="", help="what is said in it")
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = asyncio.run(run(args.recording, args.said, args.times))
    if args.json:
        print_json(figures)
    else:
        print_table(list(figures), [list(figures.values())])


async def run(recording: Path, said: str, times: int) -> dict[str, float]:
    """Return times in seconds; medians over ``times`` runs.

    Args:
        recording: Reference recording.
        said: What is said in it; empty: it is transcribed.
        times: Number of runs.
    """
    cutter = ClauseSegmenter()
    clause = next(clause for token in TEXT if (clause := "".join(cutter.push(token))))
    with private_home() as home:
        settings = Settings(
            home=home, voices=VoiceSettings(learn="none"), rendering=RenderingSettings(hq="none")
        )
        async with open_runtime(settings) as runtime:
            started = time.perf_counter()
            voice = (await enrolled(runtime, recording, lambda voice: voice.state == "ready", said)).id
            ready_s = time.perf_counter() - started
            note(f"ready after {ready_s:.1f} s")
            synthesizer = runtime.engines.synthesizer
            wholes, firsts, audio_s = [], [], 0.0
            for _ in range(times):
                took_s, audio_s = await _spoken(synthesizer, TEXT, voice)
                wholes.append(took_s)
                firsts.append((await _spoken(synthesizer, clause, voice))[0])
    return {
        "ready_s": round(ready_s, 1),
        "characters": len(TEXT),
        "whole_s_p50": round(statistics.median(wholes), 2),
        "whole_s_max": round(max(wholes), 2),
        "audio_s": round(audio_s, 1),
        "first_clause_characters": len(clause),
        "first_clause_s_p50": round(statistics.median(firsts), 2),
        "first_clause_s_max": round(max(firsts), 2),
    }


async def _spoken(synthesizer: Synthesizer, text: str, voice: str) -> tuple[float, float]:
    """Return the seconds it took, and the seconds of audio."""
    started = time.perf_counter()
    ticket = Ticket(session="bench", priority=Priority.LIVE)
    pcm = await collect_pcm(synthesizer.stream(TTSReq(text=text, voice_id=voice, ticket=ticket)))
    return time.perf_counter() - started, len(pcm) / synthesizer.sample_rate


if __name__ == "__main__":
    main()
