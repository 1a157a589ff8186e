"""The application as it is run, with light models: what is said to it is said by its own synthesiser."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.runtime import Runtime, open_runtime
from kuaimei.settings import (
    DialogueSettings,
    EngineSettings,
    ServerSettings,
    Settings,
    StoreSettings,
    VoiceSettings,
)
from tests.features.world import Http, World
from tests.support.fakes import silence
from tests.support.server.app_server import InMemoryRuntime, Served, serving
from tests.support.server.realtime_client import Talk, b64, wire

__all__ = ["RealRuntime", "Turn", "opened"]

_LIGHT = {"asr": "whisper-base", "llm": "qwen2.5-coder-0.5b"}
_PACKET = 2400
"""Samples at 24 kHz in a packet of 100 ms."""


@dataclass
class Turn:
    """One that was really spoken and answered.

    Attributes:
        talk: The connection, open as long as the server is.
        reached: Addresses to which the process was connected from before its client came to its end.
    """

    talk: Talk
    reached: set[str]

    @property
    def session(self) -> str:
        """Its id."""
        found: str = self.talk.events[0]["session"]["id"]
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        """All that came so far."""
        return self.talk.events

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All events of one type."""
        return [event for event in self.events if event["type"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """The only event of its type."""
        (event,) = self.of(kind)
        return event


@dataclass
class RealRuntime:
    """Open and served.

    Attributes:
        turns: What was said, by its words; each is said once.
        sounds: What the synthesiser said, by text and voice.
    """

    runtime: Runtime
    served: Served
    http: Http
    world: World
    turns: dict[str, Turn] = field(default_factory=dict)
    sounds: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def sound(self, text: str, voice: str = "zf_xiaoyi", fmt: str = "wav") -> bytes:
        """A recording of ``text``."""
        if (text, voice + fmt) not in self.sounds:
            body = {"input": text, "voice": voice, "response_format": fmt}
            answer = self.http.post("/v1/audio/speech", json=body)
            assert answer.status_code == 200, answer.text
            self.sounds[text, voice + fmt] = answer.content
        return self.sounds[text, voice + fmt]

    def pcm(self, text: str, voice: str = "zf_xiaoyi") -> Pcm:
        """The same at 16 kHz."""
        return self.world.run(decode(self.sound(text, voice), ASR_RATE))

    def spoken(self, text: str) -> Turn:
        """The turn in which somebody says ``text`` in real time, and is answered."""
        if text not in self.turns:
            pcm, reached = self.pcm(text), _connections()
            talk = self.world.talk(self.served)
            self.world.run(_say(talk, pcm), 200)
            self.turns[text] = Turn(talk, reached | _open_now())
        return self.turns[text]

    def rendered(self, turn: Turn) -> dict[str, Any]:
        """The event that tells of the second rendering; on a busy machine it takes its time."""
        for event in turn.of("kuaimei.reply.hq_ready"):
            return event
        return self.world.run(_patiently(turn.talk, "kuaimei.reply.hq_ready"), 200)


async def _say(talk: Talk, pcm: Pcm) -> None:
    feeding = asyncio.ensure_future(_feed(talk, wire(silence(300), pcm, silence(2500))))
    await _patiently(talk, "kuaimei.turn.timing")
    await feeding


async def _feed(talk: Talk, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for start in range(0, len(data), 2 * _PACKET):
        await talk.send("input_audio_buffer.append", audio=b64(data[start : start + 2 * _PACKET]))
        await asyncio.sleep(max(0.0, begun + start / 48_000 - loop.time()))


async def _patiently(talk: Talk, kind: str) -> dict[str, Any]:
    """On a busy machine nothing may come for a while."""
    async with asyncio.timeout(180):
        while True:
            try:
                return await talk.until(kind)
            except TimeoutError:
                continue


_reached: list[set[str]] = []


def _connections() -> set[str]:
    """Addresses that are connected to, or asked for, from now on; a hook cannot be taken off again."""
    if not _reached:
        sys.addaudithook(_hear)
    _reached[:] = [set()]
    return _reached[0]


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        _reached[0].add(str(address[0]) if isinstance(address, tuple) else "unix")
    elif event == "socket.getaddrinfo":
        _reached[0].add(str(arguments[0]))


def _open_now() -> set[str]:
    """Other ends of this process's connections, also of those that libraries opened by themselves."""
    return {one.raddr.ip for one in psutil.Process().net_connections(kind="inet") if one.raddr}


@asynccontextmanager
async def opened(world: World, store: StoreSettings) -> AsyncIterator[RealRuntime]:
    """Everything, with light models and without learning voices in the background."""
    weights = Settings().weights_dir
    missing = [name for name in _LIGHT.values() if not (weights / name).is_dir()]
    if missing:
        pytest.fail(f"there are no weights {missing} in {weights}: run make setup", pytrace=False)
    with tempfile.TemporaryDirectory(prefix="kuaimei-features-") as name:
        home = Path(name)
        (home / "models").symlink_to(weights)
        settings = Settings(
            home=home,
            store=store,
            voice="zf_xiaoyi",
            dialogue=DialogueSettings(max_reply_tokens=40),
            engines=EngineSettings(tts_runtime="onnxruntime"),  # nothing is compiled for a few sentences
            voices=VoiceSettings(learn="none"),
            server=ServerSettings(port=0, open=True),
            **cast(Any, _LIGHT),
        )
        async with (
            open_runtime(settings) as runtime,
            serving(cast(InMemoryRuntime, runtime)) as served,
            httpx.AsyncClient(base_url=served.url, timeout=120, trust_env=False) as client,
        ):
            yield RealRuntime(runtime, served, Http(world, client), world)


def level(pcm: Pcm) -> float:
    """How loud, root mean square."""
    return float(np.sqrt(np.mean(np.square(pcm.astype(np.float64)))))
