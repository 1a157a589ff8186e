"""Soak test: several users and many turns on the default models; does the server's memory grow?

    python -m bench.soak [--people 3] [--turns 300] [--json]

Every user says one sentence after another over WebSocket, in real time, each sentence a new one, and waits
until the reply is complete before the next. The memory of the server, its children and its database is read
every second; the slope is Theil-Sen over the second half, with an interval of 95 % by blocks of a minute, so
that neither a single jump nor the correlation of neighbouring values decides it. Models that are loaded on
demand come and go: a second slope compares only minutes in which the same ones were loaded. Status 1 if a
turn failed or was lost.
"""

import argparse
import asyncio
import base64
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.request import urlopen

import numpy as np
import psutil  # type: ignore[import-untyped]
from websockets.asyncio.client import ClientConnection, connect

from bench.server_process import server_process
from kuaimei.audio.pcm import Pcm, to_bytes
from kuaimei.audio.resample import resample
from kuaimei.audio.streams import collect_pcm
from kuaimei.cli.console import note, print_json, print_table
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.types import TTSReq
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings

_RATE = 24_000
"""Sample rate of the Realtime protocol's PCM in Hz."""
_PACKET_S = 0.04
_SILENCE_S = 30.0
"""Silence sent after a sentence, as a microphone would, until it is understood."""
_PATIENCE_S = 180.0
_SAMPLE_S = 1.0
_BLOCK_S = 60.0
_RESAMPLES = 2000
_PLACES = ("台北", "花蓮", "台南", "高雄", "金門", "澎湖", "宜蘭", "嘉義", "新竹", "屏東")
_SUBJECTS = ("夜市", "天氣", "早餐", "火車", "老街", "海邊", "咖啡店", "博物館", "溫泉", "腳踏車道")
_QUESTIONS = (
    "{place}的{subject}怎麼樣？",
    "我下個星期想去{place}看{subject}，你有什麼建議嗎？",
    "請告訴我{place}最有名的{subject}。",
    "如果只有三個小時，{place}的{subject}值得去嗎？",
    "{place}跟{other}比起來，哪裡的{subject}比較好？",
)


@dataclass(slots=True)
class Talk:
    """Results of one user's turns.

    Attributes:
        turns: Number of turns begun.
        first_audio_s: Seconds from the end of the sentence to the first audio of the reply, per turn.
        failed: Failures, in the server's words.
    """

    turns: int = 0
    first_audio_s: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory at one moment.

    Attributes:
        at_s: Seconds since the first turn.
        server_mb: Server and its children, shared pages counted once (PSS).
        database_mb: PostgreSQL, likewise.
        models_mb: Models loaded on demand, as estimated by the server.
    """

    at_s: float
    server_mb: float
    database_mb: float
    models_mb: float

    @property
    def total_mb(self) -> float:
        """Memory of server and database."""
        return self.server_mb + self.database_mb


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth in MB per minute: the estimate and its interval of 95 %; None: too short to tell."""

    mb_per_min: float | None
    low: float | None
    high: float | None


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--turns", type=int, default=300, help="of all people together")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = asyncio.run(run(args.people, args.turns))
    if args.json:
        print_json(result)
    else:
        print_table(
            ["", "value"], [[name, value] for name, value in result.items() if not isinstance(value, list)]
        )
    sys.exit(bool(result["failed"]))


async def run(people: int, turns: int) -> dict[str, Any]:
    """Run the conversations while reading the server's memory."""
    sentences = sentences_for(turns)
    note(f"making {turns} sentences …")
    clips = await _spoken(sentences)
    since = time.time()
    with server_process() as address:
        memory = _Memory(address, since)
        before = memory.sample(0.0)
        queue = iter(clips)
        talks = [Talk() for _ in range(people)]
        samples: list[Sample] = []
        watching = asyncio.ensure_future(_watch(memory, samples))
        started = time.monotonic()
        try:
            await asyncio.gather(*(_talk(address, queue, talk, talks, turns) for talk in talks))
        finally:
            watching.cancel()
            (ended,) = await asyncio.gather(watching, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended
        took_s = time.monotonic() - started
    firsts = sorted(itertools.chain.from_iterable(talk.first_audio_s for talk in talks))
    half = samples[len(samples) // 2 :]
    minutes = samples[:: int(60 / _SAMPLE_S)]
    return {
        "people": people,
        "turns": len(firsts),
        "minutes": round(took_s / 60, 1),
        "ready_mb": round(before.total_mb),
        "after_mb": round(samples[-1].total_mb),
        "peak_mb": round(max(one.total_mb for one in samples)),
        "slope_second_half": asdict(slope_of(half)),
        "slope_with_the_same_models": asdict(slope_of(half, by_models=True)),
        "first_audio_p50_s": round(statistics.median(firsts), 2),
        "first_audio_p95_s": round(firsts[int(0.95 * (len(firsts) - 1))], 2),
        "first_audio_max_s": round(firsts[-1], 2),
        "failed": [told for talk in talks for told in talk.failed],
        "memory_mb_each_minute": [round(one.total_mb) for one in minutes],
        "database_mb_each_minute": [round(one.database_mb) for one in minutes],
        "models_mb_each_minute": [round(one.models_mb) for one in minutes],
    }


def sentences_for(count: int) -> list[str]:
    """Return ``count`` sentences of mixed lengths, which repeat only when all have been used."""
    every = [
        question.format(place=place, subject=subject, other=_PLACES[(number + 3) % len(_PLACES)])
        for number, place in enumerate(_PLACES)
        for subject in _SUBJECTS
        for question in _QUESTIONS
    ]
    np.random.default_rng(7).shuffle(every)
    return list(itertools.islice(itertools.cycle(every), count))


def slope_of(samples: Sequence[Sample], *, by_models: bool = False) -> Slope:
    """Return the Theil-Sen slope over block means, its interval by resampling the blocks.

    Args:
        samples: In order.
        by_models: Compare only blocks in which the same on-demand models were loaded throughout.
    """
    seconds = np.array([one.at_s for one in samples])
    values = np.array([one.total_mb for one in samples])
    models = np.array([one.models_mb for one in samples])
    block = ((seconds - seconds[0]) // _BLOCK_S).astype(int)
    numbers = [
        number for number in np.unique(block) if not by_models or len(set(models[block == number])) == 1
    ]
    at = np.array([seconds[block == number].mean() for number in numbers]) / 60
    mb = np.array([values[block == number].mean() for number in numbers])
    loaded = [models[block == number][0] for number in numbers]
    pairs = [
        (one, other)
        for one in range(len(at))
        for other in range(one + 1, len(at))
        if not by_models or loaded[one] == loaded[other]
    ]
    if len(pairs) < 3:
        return Slope(None, None, None)
    slopes = np.array([(mb[j] - mb[i]) / (at[j] - at[i]) for i, j in pairs])
    first, second = np.array(pairs).T
    random = np.random.default_rng(7)
    found = []
    for _ in range(_RESAMPLES):
        weight = np.bincount(random.integers(0, len(at), len(at)), minlength=len(at))
        chosen = np.repeat(slopes, weight[first] * weight[second])
        if len(chosen):
            found.append(float(np.median(chosen)))
    low, high = np.percentile(found, [2.5, 97.5])
    return Slope(round(float(np.median(slopes)), 3), round(float(low), 3), round(float(high), 3))


async def _spoken(sentences: Sequence[str]) -> list[Pcm]:
    clips = []
    async with open_engine(Settings(), "tts", open_synthesizer) as synthesizer:
        voices = [voice for voice in synthesizer.voices if voice.startswith("z")]
        for number, sentence in enumerate(sentences):
            request = TTSReq(text=sentence, voice_id=voices[number % len(voices)])
            pcm = await collect_pcm(synthesizer.stream(request))
            clips.append(resample(pcm, synthesizer.sample_rate, _RATE))
    return clips


class _Memory:
    """Memory of the server at ``address`` and of its database, which is not a child of it.

    Args:
        address: Base URL of the server.
        since: Time before its start, as `time.time`.
    """

    def __init__(self, address: str, since: float) -> None:
        self._address = address
        self._since = since
        self._server = _listening_at(int(address.rpartition(":")[2]))

    def sample(self, at_s: float) -> Sample:
        """Read all figures; takes some 50 ms."""
        server = (self._server, *self._server.children(recursive=True))
        database = [
            process
            for process in psutil.process_iter(["name", "create_time"])
            if process.info["name"] == "postgres" and process.info["create_time"] >= self._since - 1
        ]
        return Sample(at_s, _pss_mb(server), _pss_mb(database), self._models_mb())

    def _models_mb(self) -> float:
        with urlopen(f"{self._address}/metrics", timeout=10) as answer:
            told = answer.read().decode()
        values = [line for line in told.splitlines() if line.startswith("kuaimei_models_memory_bytes ")]
        return float(values[0].split()[1]) / 1e6


def _listening_at(port: int) -> psutil.Process:
    """Return the child process that listens on ``port``."""
    for child in psutil.Process().children(recursive=True):
        if any(c.laddr and c.laddr.port == port for c in child.net_connections("inet")):
            return child
    raise RuntimeError("the server is no child of this process")


def _pss_mb(processes: Iterable[psutil.Process]) -> float:
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended meanwhile
    return total / 1e6


async def _watch(memory: _Memory, samples: list[Sample]) -> None:
    started = time.monotonic()
    while True:
        samples.append(await asyncio.to_thread(memory.sample, time.monotonic() - started))
        await asyncio.sleep(_SAMPLE_S)


async def _talk(address: str, clips: Iterator[Pcm], talk: Talk, talks: Sequence[Talk], turns: int) -> None:
    url = address.replace("http", "ws") + "/v1/realtime"
    async with connect(url, max_size=None) as socket:
        for clip in clips:
            await _turn(socket, clip, talk)
            if (done := sum(one.turns for one in talks)) % 10 == 0:
                note(f"{done} of {turns} turns")


async def _turn(socket: ClientConnection, clip: Pcm, talk: Talk) -> None:
    """Say ``clip`` and receive the reply to its end."""
    said: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    saying = asyncio.ensure_future(_say(socket, clip, said))
    first_s: float | None = None
    talk.turns += 1
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async for text in socket:
                event = json.loads(text)
                match event["type"]:
                    case "response.output_audio.delta" if first_s is None:
                        first_s = time.monotonic() - (await said)
                    case "error":
                        talk.failed.append(str(event["error"]["message"]))
                    case "response.done":
                        response = event["response"]
                        if response["status"] != "completed":
                            details = response["status_details"]
                            talk.failed.append(f"a response ended as {response['status']}: {details}")
                        elif first_s is None:
                            talk.failed.append("a response had no sound")
                        else:
                            talk.first_audio_s.append(first_s)
                        return
                    case _:
                        pass
    except TimeoutError:
        talk.failed.append(f"no answer within {_PATIENCE_S:g} s")
    finally:
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)


async def _say(socket: ClientConnection, clip: Pcm, said: "asyncio.Future[float]") -> None:
    """Send ``clip`` in real time, then silence, as a microphone does; resolve ``said`` at the clip's end."""
    samples = int(_PACKET_S * _RATE)
    microphone = np.concatenate([clip, np.zeros(int(_SILENCE_S * _RATE), dtype=np.int16)])
    started = time.monotonic()
    for start in range(0, len(microphone), samples):
        await asyncio.sleep(max(0.0, started + start / _RATE - time.monotonic()))
        if start >= len(clip) and not said.done():
            said.set_result(time.monotonic())
        audio = base64.b64encode(to_bytes(microphone[start : start + samples])).decode("ascii")
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


if __name__ == "__main__":
    main()
