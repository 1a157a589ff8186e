"""Latency at the page, compared with what ``kuaimei talk`` reports for the same recordings.

    python -m bench.browser_turn FOLDER_OF_RECORDINGS [--turns 3] [--json]

A real browser (Chromium) gets each recording through its microphone and plays the reply; both are
tapped inside the page on one clock. Milliseconds from the end of the last voiced frame in the
microphone to the first sample of the reply at the loudspeaker. ``match`` is the correlation of what was
played with the recording of the reply that the server stores.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from playwright.async_api import Browser, async_playwright

from bench.audio_capture import RATE, SCRIPT, Recorded, correlation, kept_reply, kept_turns, recorded
from bench.browser import arguments, find_chromium, microphone_file, preferring, start_talking
from bench.server_process import server_process
from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.audio.resample import resample
from kuaimei.cli.console import note, print_json, print_table
from kuaimei.engines.protocols import VoiceActivityDetector
from kuaimei.engines.vad import open_vad
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings

_LOUD = 100
"""Magnitude of a 16-bit sample from which on the reply has begun."""
_PATIENCE_MS = 120_000


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn at the page.

    Attributes:
        talk_ms: Latency that `kuaimei talk` reports for the recording.
        server_ms: Latency that the server reports for this very turn; the rest is transport.
        match: Correlation of what was played with the stored recording of the reply.
    """

    file: str
    transport: str
    talk_ms: float | None
    server_ms: float | None
    browser_ms: float
    match: float

    @property
    def more_ms(self) -> float | None:
        """Milliseconds that the transport to the browser and back adds."""
        return None if self.talk_ms is None else self.browser_ms - self.talk_ms


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=3, help="of each recording, transport and command")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    turns = asyncio.run(run(sorted(args.folder.glob("*.wav")), args.turns))
    groups = {name: [turn for turn in turns if turn.transport == name] for name in ("WebRTC", "WebSocket")}
    result = {name: _figures(group) for name, group in groups.items()}
    if args.json:
        print_json({**result, "each": [asdict(turn) for turn in turns]})
        return
    names = ["talk_ms_p50", "server_ms_p50", "browser_ms_p50", "more_ms_p50", "more_ms_max", "match_min"]
    print_table(["", *names], [[name, *(figures[one] for one in names)] for name, figures in result.items()])


async def run(paths: Sequence[Path], turns: int) -> list[Turn]:
    """Run every recording ``turns`` times over each transport, after as many runs of ``kuaimei talk``."""
    if not paths:
        sys.exit("no .wav there")
    talked = _talk(paths, turns)
    done = []
    async with open_engine(Settings(), "vad", open_vad) as vad:
        with server_process() as address:
            for path in paths:
                pcm = await decode(path, ASR_RATE)
                for transport, name in (("auto", "WebRTC"), ("websocket", "WebSocket")):
                    for _ in range(turns):
                        heard, sent, server = await _turn(address, pcm, transport)
                        delay = _delay_ms(heard, vad())
                        match = correlation(heard.loudspeaker, sent)
                        done.append(
                            Turn(
                                path.name,
                                name,
                                talked.get(path.name),
                                server,
                                round(delay, 1),
                                round(match, 3),
                            )
                        )
                        said = f"server: {server}, talk: {talked.get(path.name)}, match {match:.3f}"
                        note(f"{name} {path.name}: {delay:.0f} ms ({said})")
    return done


def _talk(paths: Sequence[Path], turns: int) -> dict[str, float]:
    """Return the median latency that `kuaimei talk` reports per recording, all in one conversation."""
    command = [sys.executable, "-m", "kuaimei", "talk", *(str(path) for path in paths), "--json"]
    found: dict[str, list[float]] = {}
    for _ in range(turns):
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for turn in json.loads(told)["turns"]:
            if turn["first_audio_ms"] is not None:
                found.setdefault(turn["file"], []).append(turn["first_audio_ms"])
    return {name: round(statistics.median(values), 1) for name, values in found.items()}


async def _turn(address: str, pcm: Pcm, transport: str) -> tuple[Recorded, Pcm, float | None]:
    """Return the capture of the page, the stored reply (`RATE`), and the server's own latency."""
    with tempfile.TemporaryDirectory(prefix="kuaimei-clip-") as folder:
        clip = microphone_file(Path(folder) / "clip.wav", pcm)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=arguments(clip))
            try:
                return await _visit(browser, address, transport)
            finally:
                await browser.close()


async def _visit(browser: Browser, address: str, transport: str) -> tuple[Recorded, Pcm, float | None]:
    context = await browser.new_context(locale="zh-TW", bypass_csp=True)
    await context.add_init_script(preferring(transport=transport, swap=False))
    await context.add_init_script(SCRIPT)
    page = await context.new_page()
    await page.goto(address)
    await start_talking(page, _PATIENCE_MS)
    reply = page.locator("li[data-side=assistant]").first
    await reply.locator("[data-timing]").wait_for(timeout=_PATIENCE_MS)
    await page.locator("[data-talk][data-mood=listening]").wait_for(timeout=_PATIENCE_MS)
    heard = await recorded(page)
    sent = await kept_reply(page)
    timings = [one["timings"] for one in await kept_turns(page)]
    await page.goto("about:blank")
    await context.close()
    return heard, sent, timings[-1].get("first_audio_ms") if timings else None


def _delay_ms(heard: Recorded, vad: VoiceActivityDetector) -> float:
    """Return milliseconds from the end of the last voiced frame to the first audio of the reply."""
    speech = resample(heard.microphone, RATE, ASR_RATE)
    size = vad.frame_samples
    voiced = [
        number
        for number in range(len(speech) // size)
        if vad.probability(speech[number * size : (number + 1) * size])
        >= Settings().dialogue.speech_threshold
    ]
    begun = int(np.argmax(np.abs(heard.loudspeaker.astype(np.int32)) > _LOUD))
    return begun * 1000.0 / RATE - float((voiced[-1] + 1) * size) * 1000.0 / ASR_RATE


def _figures(turns: Sequence[Turn]) -> dict[str, float | None]:
    more = [turn.more_ms for turn in turns if turn.more_ms is not None]
    return {
        "turns": len(turns),
        "talk_ms_p50": statistics.median([turn.talk_ms for turn in turns if turn.talk_ms is not None]),
        "server_ms_p50": statistics.median([turn.server_ms for turn in turns if turn.server_ms is not None]),
        "browser_ms_p50": statistics.median([turn.browser_ms for turn in turns]),
        "more_ms_p50": statistics.median(more),
        "more_ms_max": max(more),
        "match_min": min(turn.match for turn in turns),
    }


if __name__ == "__main__":
    main()
