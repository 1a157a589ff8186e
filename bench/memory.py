"""Memory of the server: its parts, its growth, and the latency cost of bounding it.

    python -m bench.memory [--uses 40] [--json]
    python -m bench.memory --texts 100 [--of tts] [--json]
    python -m bench.memory --first-audio 60 [--json]

The first opens every engine alone in a process of its own, and all together as the server does, and prints
the memory of the process before, after opening (which warms up), after the first use, after more, and once
the allocator has returned freed memory. The second uses one engine (or `all`) with that many texts or pieces
of speech of different lengths and prints the slope; the third compares the time of the first audio
(`bench.memory_first_audio`).
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.memory_figures import slope
from bench.memory_first_audio import compare
from bench.memory_parts import PARTS, SPEECH
from bench.temp_home import private_home
from kuaimei.cli.console import note, print_json

__all__ = ["grown", "parts"]

_STEPS: Final = {
    "before": "before",
    "opened": "opened, warm",
    "first": "first use",
    "used": "used",
    "released": "freed handed back",
}
_EVERY: Final = 10
"""Uses from one reading to the next."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uses", type=int, default=40, help="of each engine, for the table")
    parser.add_argument("--texts", type=int, default=0, help="tell the growth over so many uses instead")
    parser.add_argument("--of", choices=PARTS, default="tts", help="what grows")
    parser.add_argument("--first-audio", type=int, default=0, help="compare so many first clauses instead")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.first_audio:
        result: Mapping[str, Any] = compare(args.first_audio)
        told = "\n".join(f"{name}: {value}" for name, value in result.items())
    elif args.texts:
        result = grown(args.of, args.texts)
        told = _growth_told(result)
    else:
        result = parts(args.uses)
        told = _table(result)
    if args.json:
        print_json(result)
    else:
        print(told)


def parts(uses: int) -> Mapping[str, Any]:
    """Return the memory of each part at each step, in MB, after ``uses`` uses."""
    with _prepared() as (home, speech):
        found = {}
        for part in PARTS:
            found[part] = _child(home, part, str(speech), "--uses", str(uses), "--every", str(_EVERY))
            note(f"{part}: {found[part]['stages']['opened']['rss']:.0f} MB when opened")
    return found


def grown(part: str, uses: int) -> Mapping[str, Any]:
    """Return readings of ``part``, and the slope in MB per use, over all and over the second half."""
    with _prepared() as (home, speech):
        found = _child(home, part, str(speech), "--uses", str(uses), "--every", str(_EVERY))
    series = found["series"]
    slopes = {}
    for name, points in (("whole", series), ("second_half", series[len(series) // 2 :])):
        if len(points) >= 3:
            estimate = slope([point["uses"] for point in points], [point["rss"] for point in points])
            slopes[name] = {
                "mb_per_use": round(estimate.middle, 4),
                "interval": [round(estimate.least, 4), round(estimate.most, 4)],
            }
    return {"part": part, **found, "slope": slopes}


@contextmanager
def _prepared() -> Iterator[tuple[Path, Path]]:
    """Prepare a data folder with compiled networks, and a file of speech."""
    with private_home() as home:
        speech = home / "speech.npy"
        _child(home, SPEECH, str(speech))
        yield home, speech


def _child(home: Path, *arguments: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KUAIMEI_")}
    chosen = {name: value for name, value in os.environ.items() if name.startswith("KUAIMEI_ENGINES__")}
    finished = subprocess.run(
        [sys.executable, "-m", "bench.memory_parts", *arguments],
        env={**kept, **chosen, "KUAIMEI_HOME": str(home)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(finished.stdout) if finished.stdout.strip() else {}
    return found


def _table(found: Mapping[str, Any]) -> str:
    """Return a Markdown table: RSS at each step, and a breakdown of the memory when opened."""
    lines = [
        f"| MB | {' | '.join(_STEPS.values())} | opened: anonymous | mapped | PSS | takes | opened in s |",
        f"|---|{'---|' * (len(_STEPS) + 5)}",
    ]
    for part, measured in found.items():
        stages = measured["stages"]
        opened = stages["opened"]
        rss = " | ".join(f"{stages[step]['rss']:.0f}" for step in _STEPS)
        takes = opened["rss"] - stages["before"]["rss"]
        lines.append(
            f"| {part} | {rss} | {opened['anonymous']:.0f} | {opened['mapped']:.0f} | {opened['pss']:.0f} "
            f"| {takes:.0f} | {measured['opened_s']:.1f} |"
        )
    return "\n".join(lines)


def _growth_told(result: Mapping[str, Any]) -> str:
    points: Sequence[Mapping[str, float]] = result["series"]
    lines = [f"| uses of {result['part']} | RSS, MB | anonymous | mapped |", "|---|---|---|---|"]
    lines += [
        f"| {point['uses']:.0f} | {point['rss']:.0f} | {point['anonymous']:.0f} | {point['mapped']:.0f} |"
        for point in points
    ]
    lines.append(f"\nfreed handed back: {result['stages']['released']['rss']:.0f} MB")
    for name, estimate in result["slope"].items():
        least, most = estimate["interval"]
        lines.append(f"\n{name}: {estimate['mb_per_use']:.3f} MB a use, [{least:.3f}, {most:.3f}]")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
