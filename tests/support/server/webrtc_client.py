"""A real WebRTC client for tests: it speaks on one track, hears another, and reads the data channel."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from kuaimei.audio.pcm import ASR_RATE, EMPTY, Pcm
from kuaimei.audio.resample import resample
from kuaimei.dialogue.engines import Engines
from tests.support.fakes import silence
from tests.support.server.app_server import Served, quick_engines
from tests.support.server.realtime_client import check_official

__all__ = ["Caller", "LoudVad", "Microphone", "calling", "calling_engines", "offer_of", "tone"]

RATE = 48_000
FRAME = 960


def tone(ms: float) -> Pcm:
    """A sound at 16 kHz that survives Opus, unlike the letters of the other fakes."""
    at = np.arange(int(ms) * ASR_RATE // 1000) / ASR_RATE
    wave: Pcm = (8000 * np.sin(2 * np.pi * 220 * at)).astype(np.int16)
    return wave


class LoudVad:
    """Voiced is what is loud."""

    frame_samples = 512

    def probability(self, frame: Pcm) -> float:
        return 0.98 if float(np.sqrt(np.mean(np.square(frame.astype(np.float64))))) > 700 else 0.02

    def reset(self) -> None:
        pass


def calling_engines(**replaced: Any) -> Engines:
    """`quick_engines` that hear what has come through Opus."""
    return quick_engines(**{"vad": LoudVad, "captioner": None, **replaced})


class Microphone(MediaStreamTrack):
    """Silence in real time, and in between what it is to say."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pieces: deque[Pcm] = deque()
        self._pts = 0
        self._due: float | None = None

    def say(self, *sounds: Pcm) -> None:
        """``sounds`` at 16 kHz, after whatever is still to be said."""
        pcm = resample(np.concatenate(sounds), ASR_RATE, RATE)
        for start in range(0, len(pcm) - FRAME + 1, FRAME):
            self._pieces.append(pcm[start : start + FRAME])

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._due = loop.time() if self._due is None else self._due + FRAME / RATE
        await asyncio.sleep(self._due - loop.time())
        pcm = self._pieces.popleft() if self._pieces else np.zeros(FRAME, np.int16)
        frame = AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._pts, Fraction(1, RATE)
        self._pts += FRAME
        return frame


class Caller:
    """One side of a call.

    Attributes:
        events: Everything told so far.
        heard: Everything heard so far: loop time of its arrival, and its samples at 48 kHz.
    """

    def __init__(self) -> None:
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone = Microphone()
        self.peer.addTrack(self.microphone)
        self.channel: RTCDataChannel = self.peer.createDataChannel("oai-events")
        self.events: list[dict[str, Any]] = []
        self.heard: list[tuple[float, Pcm]] = []
        self.location = ""
        self.closed = asyncio.Event()
        self._inbox: asyncio.Queue[str] = asyncio.Queue()
        self._open = asyncio.Event()
        self._hearing: asyncio.Task[None] | None = None
        self.channel.on("open", self._open.set)
        self.channel.on("message", self._inbox.put_nowait)
        self.channel.on("close", self.closed.set)
        self.peer.on("track", self._listen)

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def offer(self) -> str:
        """Its SDP, all candidates in it."""
        await self.peer.setLocalDescription(await self.peer.createOffer())
        sdp: str = self.peer.localDescription.sdp
        return sdp

    async def accept(self, answer: str, location: str) -> None:
        """The other side's SDP; afterwards the channel is open."""
        self.location = location
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(20):
            await self._open.wait()

    async def send(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            event: dict[str, Any] = json.loads(await self._inbox.get())
        check_official(event)
        self.events.append(event)
        return event

    async def until(
        self, kind: str, found: Callable[[dict[str, Any]], bool] = lambda e: True
    ) -> dict[str, Any]:
        while not ((event := await self.next())["type"] == kind and found(event)):
            assert event["type"] != "error" or kind == "error", event
        return event

    def ask(self) -> None:
        """Say something and be silent."""
        self.microphone.say(silence(300), tone(1100))

    @property
    def kinds(self) -> list[str]:
        """Types of the protocol's own events; of deltas only the first."""
        kinds = [e["type"] for e in self.events if not e["type"].startswith("kuaimei.")]
        return [k for n, k in enumerate(kinds) if not (k.endswith(".delta") and k in kinds[:n])]

    @property
    def sound(self) -> Pcm:
        """Everything heard, as one piece."""
        return np.concatenate([EMPTY, *(pcm for _, pcm in self.heard)])

    async def close(self) -> None:
        await self.peer.close()
        if self._hearing is not None:
            await self._hearing

    def _listen(self, track: MediaStreamTrack) -> None:
        self._hearing = asyncio.ensure_future(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, AudioFrame)
            pcm: Pcm = frame.to_ndarray().reshape(-1, 2)[:, 0].astype(np.int16)
            self.heard.append((loop.time(), pcm))


async def offer_of(served: Served, sdp: str, query: str = "", **headers: str) -> httpx.Response:
    """What the server says to an offer."""
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as http:
        return await http.post(
            f"/v1/realtime/calls{query}",
            content=sdp,
            headers={"content-type": "application/sdp", **headers},
        )


@asynccontextmanager
async def calling(served: Served, query: str = "", *, greeted: bool = True) -> AsyncIterator[Caller]:
    """A call, by default one that has been greeted."""
    async with Caller() as caller:
        answer = await offer_of(served, await caller.offer(), query)
        assert answer.status_code == 201, answer.text
        await caller.accept(answer.text, answer.headers["location"])
        if greeted:
            await caller.until("session.created")
        yield caller
