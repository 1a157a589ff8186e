"""Kill a server at random moments of a scripted life, restart it, and count what was lost.

    python -m bench.kills [--times 200] [--seed 1] [--json]

Received speech is what was handed to the store until the kill; it is compared, sample by sample, with what is
stored after the last start. Deleted data must be gone: no file, no row. Status 1 if anything is wrong.
"""

import argparse
import asyncio
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import soundfile  # type: ignore[import-untyped]

from bench.scripted_life import REPLY_RATE, Journal, settings_of, sound_of, working
from kuaimei.audio.pcm import ASR_RATE
from kuaimei.cli.console import note, print_json, print_table
from kuaimei.errors import NotFound
from kuaimei.store import Store, open_store
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres

__all__ = ["Result", "run"]

_START_S: Final = 120.0
"""Maximum wait for a start, on a busy machine."""
_JOBS_S: Final = 300.0
_ROOT: Final = Path(__file__).parents[1]


@dataclass
class Result:
    """Result of all kills.

    Attributes:
        kills: Number of kills.
        kills_while_starting: Number of these kills during a start.
        received_s: Seconds of speech, both sides, that were received and not deleted.
        lost_s: Seconds of these that are missing or differ.
        deleted: Sessions, utterances and voices whose deletion was confirmed.
        returned: Number of these that exist again, or of which a file or a row is left.
        unsaved: Maximum number of utterances outside the database when a start reported ready.
        broken: Utterances quarantined as impossible to store.
        voices: Voices that were enrolled and not deleted.
        voices_lost: Number of these that are missing.
        jobs_left: Jobs that were not done in the end.
        seconds: Duration of the run.
        wrong: Violations, in words.
    """

    kills: int = 0
    kills_while_starting: int = 0
    received_s: float = 0.0
    lost_s: float = 0.0
    deleted: int = 0
    returned: int = 0
    unsaved: int = 0
    broken: int = 0
    voices: int = 0
    voices_lost: int = 0
    jobs_left: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if nothing was lost, and nothing deleted came back."""
        return not self.wrong


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = run(args.times, args.seed, told=note)
    if args.json:
        print_json({**asdict(result), "ok": result.ok})
    else:
        rows: list[list[object]] = [
            [name, str(value)] for name, value in asdict(result).items() if name != "wrong"
        ]
        print_table(["", ""], rows)
        for line in result.wrong:
            note(line)
    return 0 if result.ok else 1


def run(times: int, seed: int, told: Callable[[str], None] = lambda line: None) -> Result:
    """Kill ``times`` times, then compare.

    Args:
        times: Number of kills.
        seed: Seed of the random choices.
        told: Receives progress messages.
    """
    home = Path(tempfile.mkdtemp(prefix="kuaimei-killed-"))
    result, chance, started = Result(), random.Random(seed), time.monotonic()
    journal = home.with_name(f"{home.name}.journal")
    try:
        for number in range(times):
            _live_and_die(home, journal, number, seed, chance, result)
            if number % 10 == 9:
                told(f"{number + 1} of {times}")
        left = asyncio.run(working(home, _JOBS_S))
        result.jobs_left = sum(left.values())
        asyncio.run(_look(home, journal, result))
    finally:
        _stop_database(home)
        shutil.rmtree(home, ignore_errors=True)
        journal.unlink(missing_ok=True)
    result.seconds = round(time.monotonic() - started, 1)
    return result


def _live_and_die(
    home: Path, journal: Path, number: int, seed: int, chance: random.Random, result: Result
) -> None:
    command = [sys.executable, "-m", "bench.scripted_life", str(home), str(journal), str(number), str(seed)]
    early = number > 0 and chance.random() < 0.2
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=_ROOT, start_new_session=True
    ) as process:
        try:
            if early:
                time.sleep(chance.uniform(0.3, 4.0))
                result.kills_while_starting += 1
            else:
                assert process.stdout is not None
                if process.stdout.readline() != b"ready\n":
                    assert process.stderr is not None
                    told = process.stderr.read().decode(errors="replace")[-2000:]
                    result.wrong.append(f"start {number} failed: {told}")
                    return
                time.sleep(chance.uniform(0.0, 2.5))
            if process.poll() is not None and process.stderr is not None:
                told = process.stderr.read().decode(errors="replace")[-2000:]
                result.wrong.append(f"life {number} ended by itself: {told}")
        finally:
            process.send_signal(signal.SIGKILL)
    result.kills += 1


async def _look(home: Path, journal: Path, result: Result) -> None:
    received: dict[tuple[str, int, str], int] = {}
    deleting: set[tuple[str, ...]] = set()
    deleted: set[tuple[str, ...]] = set()
    enrolled: set[str] = set()
    for kind, *words in Journal.read(journal):
        if kind == "received":
            session, turn, speaker, samples = words
            received[session, int(turn), speaker] = int(samples)
        elif kind == "started":
            result.unsaved = max(result.unsaved, int(words[1]))
            result.broken = max(result.broken, int(words[2]))
        elif kind == "enrolled":
            enrolled.add(words[0])
        elif kind == "deleting":
            deleting.add(tuple(words))
        elif kind == "deleted":
            deleted.add(tuple(words))
    async with open_store(settings_of(home)) as store:
        await store.flush(60.0)
        await store.maintenance.finish_deletions()
        gone = await _gone(store, deleting, deleted, result)
        result.deleted = len(deleted)
        await _compare(store, received, gone, result)
        for voice in sorted(enrolled - {words[1] for words in deleting if words[0] == "voice"}):
            result.voices += 1
            try:
                await store.voices.file((await store.voices.get(voice)).id, "reference.flac")
            except NotFound:
                result.voices_lost += 1
                result.wrong.append(f"{voice} was enrolled and is not there")
        result.broken = max(result.broken, (await store.statistics()).broken)
    _judge(result)


async def _gone(
    store: Store, deleting: Iterable[tuple[str, ...]], deleted: set[tuple[str, ...]], result: Result
) -> set[tuple[str, ...]]:
    """Return what is deleted in the end; an unconfirmed deletion may be done or not, but not by halves.

    Args:
        store: The open store.
        deleting: Deletions that were begun: kind, id and more.
        deleted: Deletions that were confirmed.
        result: Receives the violations.
    """
    gone = set()
    names = await asyncio.to_thread(_names_of_files, settings_of(store_home(store)).home)
    for words in deleting:
        there = await _there(store, words)
        if not there:
            gone.add(words)
        if words in deleted and there:
            result.returned += 1
            result.wrong.append(f"{' '.join(words)} was deleted and is there")
        elif not there and any(words[1] in name for name in names):
            result.returned += 1
            result.wrong.append(f"of {' '.join(words)}, which was deleted, a file is left")
    return gone


def store_home(store: Store) -> Path:
    """Return the data folder of an open store."""
    return store._spools.parent


async def _there(store: Store, words: tuple[str, ...]) -> bool:
    kind, subject = words[:2]
    try:
        if kind == "session":
            await store.session(subject)
        elif kind == "utterance":
            await store.utterance(subject)
        else:
            await store.voices.get(subject)
    except NotFound:
        return False
    return True


def _names_of_files(home: Path) -> list[str]:
    """Return the names of all files outside the database folder."""
    return [
        os.path.relpath(os.path.join(place, name), home)
        for place, _, names in os.walk(home)
        for name in names
        if "postgres" not in Path(place).relative_to(home).parts
    ]


async def _compare(
    store: Store,
    received: dict[tuple[str, int, str], int],
    gone: set[tuple[str, ...]],
    result: Result,
) -> None:
    sessions = {words[1] for words in gone if words[0] == "session"}
    single = {(words[2], int(words[3]), words[4]) for words in gone if words[0] == "utterance"}
    voices = {words[1] for words in gone if words[0] == "voice"}
    for (session, turn, speaker), samples in sorted(received.items()):
        if session in sessions or (session, turn, speaker) in single:
            continue
        rate = ASR_RATE if speaker == "user" else REPLY_RATE
        found = [one for one in await store.utterances(session) if (one.turn, one.speaker) == (turn, speaker)]
        if found and found[0].voice in voices:
            continue  # it lost its audio with the voice
        result.received_s += samples / rate
        same = await _same(store, found[0].id, session, turn, speaker, samples) if found else 0
        if same < samples:
            result.lost_s += (samples - same) / rate
            result.wrong.append(f"{session} {turn} {speaker}: {same} of {samples} samples are stored")
    result.received_s, result.lost_s = round(result.received_s, 2), round(result.lost_s, 3)


async def _same(store: Store, utterance: str, session: str, turn: int, speaker: str, samples: int) -> int:
    """Return how many of the samples are stored correctly, from the first on."""
    try:
        audio = await store.open_audio(utterance)
        data = b"".join([chunk async for chunk in audio.chunks])
    except NotFound:
        return 0
    pcm, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    expected = sound_of(session, turn, speaker, samples)
    common = min(len(pcm), samples)
    differing = np.flatnonzero(pcm[:common] != expected[:common])
    return int(differing[0]) if len(differing) else common


def _judge(result: Result) -> None:
    if result.unsaved:
        result.wrong.append(f"{result.unsaved} utterances were not saved when a start was ready")
    if result.broken:
        result.wrong.append(f"{result.broken} utterances were put aside")
    if result.jobs_left:
        result.wrong.append(f"{result.jobs_left} jobs were never done")


def _stop_database(home: Path) -> None:
    server = EmbeddedPostgres(home / "postgres")
    if server.folder.is_dir():
        server.start()
        server.stop()
        server.delete()


if __name__ == "__main__":
    sys.exit(main())
