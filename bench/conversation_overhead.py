"""Overhead of the conversation itself, with engines that cost nothing.

Two figures: milliseconds it adds to a turn (from the commit of the user's words to the first audio of
the reply, and processor time for the whole turn), and the share of one core that many concurrent
conversations take in real time.

    python -m bench.conversation_overhead [--turns 200] [--sessions 100] [--seconds 20] [--json]
"""

import argparse
import asyncio
import json
import statistics
import time

import numpy as np

from kuaimei.audio.pcm import ASR_RATE
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import Event, ReplyAudio, TurnMetrics
from kuaimei.settings import DialogueSettings
from tests.support.fakes import (
    FakeCaptioner,
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    FakeTurnDetector,
    fake_engines,
    said,
    silence,
)

_REPLY = "今天是晴天，最高溫是二十八度左右，適合出門走走散散步。"
_PACKET = ASR_RATE * 20 // 1000
_SPOKEN = np.concatenate((said("今天天氣怎麼樣呢"), silence(100)))
_SPOKEN_AND_SILENCE = np.concatenate((_SPOKEN, silence(5000)))


class _Watch:
    """Counts turns, and signals the first audio and the end of one."""

    def __init__(self) -> None:
        self.turns = 0
        self.first_audio = asyncio.Event()
        self.timed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        if isinstance(event, ReplyAudio):
            self.first_audio.set()
        elif isinstance(event, TurnMetrics):
            self.turns += 1
            self.timed.set()


def _conversation(session: str, watch: _Watch) -> Conversation:
    engines = fake_engines(
        recognizer=FakeRecognizer(delay_s=0.0),
        language_model=FakeLanguageModel(_REPLY, first_token_s=0.0, token_s=0.0),
        synthesizer=FakeSynthesizer(delay_s=0.0),
        captioner=FakeCaptioner(delay_s=0.0),
        turn_detector=FakeTurnDetector(delay_s=0.0),
    )
    return Conversation(engines, DialogueSettings(), session, [watch])


async def _turns(count: int) -> dict[str, float]:
    """Run one conversation after another, each of one spoken turn, fed as fast as it accepts audio."""
    added: list[float] = []
    cpu: list[float] = []
    for number in range(count):
        watch = _Watch()
        conversation = _conversation(str(number), watch)
        cpu_before = time.process_time()
        for start in range(0, len(_SPOKEN), _PACKET):
            conversation.push_audio(_SPOKEN[start : start + _PACKET])
        await asyncio.sleep(0)
        committed_at = time.perf_counter()
        conversation.commit()
        await watch.first_audio.wait()
        added.append((time.perf_counter() - committed_at) * 1000.0)
        await watch.timed.wait()
        cpu.append((time.process_time() - cpu_before) * 1000.0)
        await conversation.close()
    added.sort()
    return {
        "added_ms_p50": statistics.median(added),
        "added_ms_p95": added[int(len(added) * 0.95)],
        "cpu_ms_per_turn": statistics.median(cpu),
    }


async def _sessions(count: int, seconds: float) -> dict[str, float]:
    """Run many conversations at once in real time, each speaking a quarter of the time and answered."""
    watch = _Watch()
    over = asyncio.get_running_loop().time() + seconds

    async def talk(number: int) -> None:
        loop = asyncio.get_running_loop()
        async with _conversation(str(number), watch) as conversation:
            position = number * len(_SPOKEN_AND_SILENCE) // count // _PACKET * _PACKET
            at = loop.time() + 0.02 * number / count
            while (at := at + 0.02) < over:
                await asyncio.sleep(at - loop.time())
                conversation.push_audio(_SPOKEN_AND_SILENCE[position : position + _PACKET])
                position = (position + _PACKET) % len(_SPOKEN_AND_SILENCE)

    cpu_before, before = time.process_time(), time.perf_counter()
    await asyncio.gather(*(talk(number) for number in range(count)))
    took = time.perf_counter() - before
    return {
        "sessions": count,
        "seconds": took,
        "turns": watch.turns,
        "cores": (time.process_time() - cpu_before) / took,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the conversation itself costs.")
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    asyncio.run(_turns(3))  # imports, dictionaries, caches
    result = {
        "turn": asyncio.run(_turns(args.turns)),
        "sessions": asyncio.run(_sessions(args.sessions, args.seconds)),
    }
    if args.json:
        print(json.dumps(result))
        return
    turn, sessions = result["turn"], result["sessions"]
    print(f"added to a turn: {turn['added_ms_p50']:.2f} ms (P50), {turn['added_ms_p95']:.2f} ms (P95)")
    print(f"processor time of a whole turn: {turn['cpu_ms_per_turn']:.2f} ms")
    print(
        f"{sessions['sessions']:.0f} conversations in real time, {sessions['turns']:.0f} turns: "
        f"{sessions['cores']:.2f} cores"
    )


if __name__ == "__main__":
    main()
