"""The command as a process, serving the real Kokoro: a second box speaks for the first."""

import asyncio
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts.openai import open_openai
from kuaimei.engines.types import TTSReq
from kuaimei.models.source import EngineSource
from kuaimei.settings import EngineSettings, Settings

pytestmark = [pytest.mark.models, pytest.mark.timeout(240)]


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "kuaimei", "worker", "--engine", "kokoro", "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = []
    try:
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"Serving at (http://\S+)", line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                assert "Apache-2.0" in "".join(told)
                yield found[1]
                break
        else:
            pytest.fail("".join(told))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(30)
        process.stderr.close()


async def said(url: str, folder: Path, mode: str) -> Pcm:
    engines = EngineSettings(tts_remote_voices=("zf_xiaoyi",))
    engine_context = EngineContext(Settings(home=folder, engines=engines), Scheduler("cores", 2))
    async with open_openai(engine_context, EngineSource("tts", url, "openai", url=url)) as synthesizer:
        req = TTSReq.model_validate({"text": "今天天氣很好。", "mode": mode})
        return np.concatenate([EMPTY, *[pcm async for pcm in synthesizer.stream(req)]])


def test_a_server_speaks_through_a_worker_fast_and_beautifully(tmp_path: Path) -> None:
    with serving() as url:
        root = url.removesuffix("/v1")
        health = httpx.get(f"{root}/healthz").json()
        assert (health["status"], health["modes"]["hq"]["state"]) == ("ready", "unloaded")
        fast, beautiful = (asyncio.run(said(url, tmp_path, mode)) for mode in ("fast", "hq"))
        assert 24_000 < len(fast) < 72_000
        assert 24_000 < len(beautiful) < 72_000
        assert not np.array_equal(fast, beautiful)
        refused = httpx.post(f"{url}/voices", files={"file": b"x"}, data={"transcript": "x"})
        assert refused.json()["error"]["code"] == "references_unsupported"
        assert httpx.post(f"{url}/unload", timeout=60).json()["status"] == "unloaded"


def test_beyond_loopback_a_key_is_needed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kuaimei", "worker", "--engine", "kokoro", "--host", "0.0.0.0"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "needs an API key" in done.stderr


def test_engines_are_listed_and_others_refused() -> None:
    command = [sys.executable, "-m", "kuaimei", "worker"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "kokoro" in listed.stdout
    refused = subprocess.run(
        [*command, "--engine", "nothing"], capture_output=True, text=True, timeout=120, check=False
    )
    assert refused.returncode == 1
    assert "available: kokoro" in refused.stderr
