"""The server as a process: the official client talks to it, and SIGKILL loses no second of speech."""

import asyncio
import base64
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.resample import resample

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]

Spoken = Callable[..., Pcm]
_START_S = 120.0


class Server:
    """A child process, and where it listens."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url

    def kill(self) -> None:
        """As the power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def serving(environment: dict[str, str], **more: str) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "kuaimei", "serve", "--port", "0"],
        env={**environment, **more},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told: list[str] = []
    deadline = time.monotonic() + _START_S
    url = ""
    try:
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"Open (http://\S+)", line):
                url = found[1]
                break
            assert time.monotonic() < deadline, told
        assert url, "".join(told)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Server(process, url)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(30)
        process.stderr.close()


def test_official_client_over_http(environment: dict[str, str], spoken: Spoken, tmp_path: Path) -> None:
    with serving(environment) as server, OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        names = {model.id for model in client.models.list()}
        assert {"whisper-small", "kokoro", "qwen2.5-coder-0.5b"} <= names
        speech = tmp_path / "speech.mp3"
        with client.audio.speech.with_streaming_response.create(
            model="kokoro", voice="zf_xiaoyi", input="今天天氣很好，我們去爬山。", response_format="mp3"
        ) as answer:
            answer.stream_to_file(speech)
        with speech.open("rb") as file:
            heard = client.audio.transcriptions.create(model="whisper-small", file=file).text
        assert "天氣很好" in heard
        chat = client.chat.completions.create(
            model="qwen2.5-coder-0.5b",
            messages=[{"role": "user", "content": "用一句話介紹臺灣。"}],
            max_tokens=40,
        )
        assert re.search("[\u4e00-\u9fff]", chat.choices[0].message.content or "")
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert "kuaimei_" in httpx.get(f"{server.url}/metrics").text


def test_official_client_in_real_time(environment: dict[str, str], spoken: Spoken) -> None:
    question = spoken("請問一年有幾個月？")

    async def talk(url: str) -> tuple[str, str, int]:
        transcript, reply, audio = "", "", 0
        async with _connected(url) as connection:
            feeding = asyncio.ensure_future(_speak(connection, question))
            async for event in connection:
                if event.type == "conversation.item.input_audio_transcription.completed":
                    transcript = event.transcript
                elif event.type == "response.output_audio.delta":
                    audio += len(base64.b64decode(event.delta))
                elif event.type == "response.output_audio_transcript.done":
                    reply = event.transcript
                elif event.type == "response.done":
                    assert event.response.status == "completed", event
                    break
                assert event.type != "error", event
            feeding.cancel()
        return transcript, reply, audio

    with serving(environment) as server:
        transcript, reply, audio = asyncio.run(talk(server.url))
        assert "一年" in transcript
        assert reply
        assert audio > 24_000
        recordings = httpx.get(f"{server.url}/api/sessions").json()
        assert recordings


def test_sigkill_loses_no_second_of_speech(environment: dict[str, str], spoken: Spoken, home: Path) -> None:
    speech = np.concatenate([spoken("我想跟你說一個很長的故事，"), spoken("從前有一座山，山上有一座廟。")])

    async def begin(url: str, kill: Callable[[], None]) -> float:
        async with _connected(url) as connection:
            sent = await _speak(connection, speech, tail_s=0.0)
            await asyncio.sleep(0.5)
            kill()
            return sent

    before = _recordings(environment)
    with serving(environment) as server:
        sent = asyncio.run(begin(server.url, server.kill))
    kept = _recordings(environment) - before
    assert len(kept) == 1
    (_, duration_ms, state) = kept.pop()
    assert state == "recovered"
    assert duration_ms / 1000.0 > sent - 1.0  # what was before the onset is no speech


def _recordings(environment: dict[str, str]) -> set[tuple[str, float, str]]:
    """Id, length and state of everything the users said."""
    found = set()
    with serving(environment) as server, httpx.Client(base_url=server.url) as client:
        for session in client.get("/api/sessions").json()["data"]:
            for said in client.get(f"/api/sessions/{session['id']}/utterances").json()["data"]:
                if said["speaker"] == "user":
                    audio = client.get(f"/api/recordings/{said['id']}/audio")
                    assert audio.status_code == 200
                    assert audio.content[:4] == b"fLaC"
                    found.add((said["id"], said["duration_ms"], said["state"]))
    return found


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncRealtimeConnection]:
    async with (
        AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client,
        client.realtime.connect(model="kuaimei") as connection,
    ):
        yield connection


async def _speak(connection: AsyncRealtimeConnection, pcm: Pcm, *, tail_s: float = 3.0) -> float:
    """Send 16 kHz speech in real time as 24 kHz; seconds sent."""
    speech = resample(pcm, 16_000, 24_000)
    speech = np.concatenate((speech, np.zeros(int(tail_s * 24_000), dtype=np.int16)))
    loop = asyncio.get_running_loop()
    begun, size = loop.time(), 24_000 // 25
    for start in range(0, len(speech), size):
        packet = speech[start : start + size].astype("<i2").tobytes()
        await connection.input_audio_buffer.append(audio=base64.b64encode(packet).decode())
        await asyncio.sleep(max(0.0, begun + (start + size) / 24_000 - loop.time()))
    return len(speech) / 24_000
