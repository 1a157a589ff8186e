"""The bench on the real engines: a stock voice of Kokoro's is the speaker."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.audio.silence import silence
from kuaimei.cli.bench import _clone
from kuaimei.evaluation import measure, synthesize
from kuaimei.evaluation.dnsmos import load_dnsmos
from kuaimei.evaluation.references import find_references
from kuaimei.evaluation.runs.cloning import ENCODERS, Plan
from kuaimei.settings import Settings

pytestmark = pytest.mark.models

Spoken = Callable[..., Pcm]

SAID = ("小時候我常常在河邊釣魚，", "現在那裡已經蓋滿了房子。")


@pytest.fixture
def judges(settings: Settings) -> Path:
    """Folder of the judges' weights."""
    names = (*ENCODERS, "dnsmos")
    if missing := [name for name in names if not any((settings.weights_dir / name).glob("*.onnx"))]:
        pytest.skip(f"the weights of judges are not installed: kuaimei models pull {' '.join(missing)}")
    return settings.weights_dir


def test_noise_sounds_worse_than_speech(judges: Path, spoken: Spoken) -> None:
    dnsmos = load_dnsmos(judges / "dnsmos")
    clean = np.concatenate([spoken(text, "zm_yunyang") for text in SAID])
    noise = np.random.default_rng(0).normal(0, 1500, len(clean))
    noisy = np.clip(clean + noise, -32768, 32767).astype(np.int16)
    good, bad = dnsmos.rate(clean, ASR_RATE), dnsmos.rate(noisy, ASR_RATE)
    assert good.overall > 2.5
    assert bad.overall < good.overall - 0.5
    assert bad.background < good.background - 0.5


@pytest.mark.timeout(900)  # half a minute of computing, on cores that others may be using
async def test_a_speaker_is_cloned_and_judged(
    settings: Settings, judges: Path, spoken: Spoken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = silence(500.0, ASR_RATE)
    parts = [spoken(text, "zm_yunyang") for text in SAID]
    clip = np.concatenate([pause, parts[0], pause, parts[1], pause])
    soundfile.write(tmp_path / "yang.wav", clip, ASR_RATE)
    (tmp_path / "yang.txt").write_text("".join(SAID), encoding="utf-8")
    # Two sentences instead of ten: the way is the same.
    monkeypatch.setattr(measure, "HELD_OUT", {"zh": ("今天的天氣真好。", "我想去公園散步。")})
    monkeypatch.setattr(measure, "FIFTY", {"zh": "好的，沒問題。"})
    monkeypatch.setattr(synthesize, "_TIMES", 1)
    plan = Plan(find_references(tmp_path), ("predicted",), ("fast",), long=False, reuse=None)
    findings, failures = await _clone(settings, plan)
    assert failures == []
    stock, predicted = findings
    assert (stock.step, stock.speaks_as, stock.tier) == ("stock", "zm_yunyang", "fast")  # himself
    assert (predicted.voice, predicted.step, predicted.language) == ("yang", "predicted", "zh")
    for found in findings:
        assert set(found.similarity) == set(ENCODERS)
        assert found.judge == "eres2net"
        assert found.similarity["ge2e"].mean > 0.7
        assert found.error_rate < 0.3
        assert found.dnsmos.overall > 2.5
        assert found.pitch is not None
        assert 0 < found.speed.first_audio_s <= found.speed.whole_s
    assert stock.similarity["eres2net"].mean > 0.6
    assert abs(stock.pitch.mean_semitones) < 3.0  # type: ignore[union-attr]
    assert predicted.error_over_stock is not None
    assert predicted.similarity["eres2net"].floor == stock.similarity["eres2net"].mean
