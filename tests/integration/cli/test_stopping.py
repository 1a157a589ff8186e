"""A server that is told to stop: what was said is kept, nothing is left behind, and nobody is waited for."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets

from kuaimei.store.postgres.postmaster import find_postmaster
from kuaimei.system.privacy import open_to_others
from tests.integration.cli.test_run_server import serving

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]

TYPED = {
    "type": "conversation.item.create",
    "item": {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "請說一個很長的故事。"}],
    },
}


@pytest.fixture
def careless() -> Iterator[None]:
    """What is started opens everything to everybody unless it takes care."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("careless")
def test_an_open_page_and_work_in_hand_keep_nobody_waiting(environment: dict[str, str], home: Path) -> None:
    """An idle session, one that is answered, and a long text being spoken: none is waited for."""

    async def crowd(url: str, stop: signal.Signals) -> int:
        there = url.replace("http", "ws") + "/v1/realtime"
        long = {"model": "kokoro", "voice": "zf_xiaoyi", "input": "今天天氣很好，我們去爬山。" * 200}
        async with (
            websockets.connect(there, max_size=None) as idle,
            websockets.connect(there, max_size=None) as talking,
            httpx.AsyncClient(base_url=url, timeout=300) as client,
        ):
            await idle.recv()
            await talking.send(json.dumps(TYPED))
            await talking.send(json.dumps({"type": "response.create"}))
            while "response.output_audio.delta" not in str(await talking.recv()):
                pass
            async with client.stream("POST", "/v1/audio/speech", json=long) as speaking:
                assert speaking.status_code == 200
                server.process.send_signal(stop)
                return await asyncio.to_thread(server.process.wait, 120)

    with serving(environment) as server:
        postmaster = find_postmaster(home / "postgres" / "data")
        assert postmaster is not None
        assert asyncio.run(crowd(server.url, signal.SIGTERM)) == 0
    assert find_postmaster(home / "postgres" / "data") is None
    assert not [path for path in (home / "spool").rglob("*") if path.is_file()]  # all is put away
    assert not list(open_to_others(home))


def test_while_it_is_loading_it_stops_as_well(environment: dict[str, str], home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kuaimei", "serve", "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "ready: " in line:  # the first of several parts
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(120) == 0
    process.stderr.close()
    assert "Ready after" not in rest
    assert find_postmaster(home / "postgres" / "data") is None
