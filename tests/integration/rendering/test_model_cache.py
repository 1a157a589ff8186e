"""Three real engines in turns under a budget that holds two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kuaimei.models.source import EngineSource

pytestmark = pytest.mark.models


def test_models_come_and_go_and_memory_goes_down_with_them(kokoro_source: EngineSource) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("alternating.py"))],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    steps = told["steps"]
    assert [step["there"] for step in steps] == [
        ["asr"],
        ["asr", "fast"],
        ["asr", "fast"],
        ["asr", "hq"],
        ["fast", "hq"],
    ]
    assert all(step["made"] for step in steps)
    counted = told["counters"]
    assert (counted["loads"], counted["hits"], counted["evictions"]) == (4, 1, 2)
    assert counted["load_s"] > 0
    # Loosely: the network of hq alone is a file of 310 MB, that of Whisper small one of 240 MB.
    peak = max(step["rss_mb"] for step in steps)
    assert told["afterwards_mb"] < peak - 350
    assert steps[-1]["rss_mb"] < peak + 50
