"""Learning a voice for real, for a few iterations: where the environment for it was set up."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.pcm import ASR_RATE, to_float
from kuaimei.engines.onnx_sessions import open_session
from kuaimei.engines.tts.kokoro.assets import load_alphabet, load_voices
from kuaimei.engines.tts.kokoro.g2p import load_phonemes
from kuaimei.models.onnx_reader import read_onnx
from kuaimei.models.weight_delta import load_difference
from kuaimei.settings import Settings
from kuaimei.voices.training.asr_loss import ASR_LOSS_MODEL, write_asr_loss_spec
from tests.integration.conftest import Spoken
from tests.support.training_environment import need_torch

pytestmark = pytest.mark.models

ROOT = Path(__file__).resolve().parents[3]
SAID = "你可以再說一次嗎？"
VOICE, OTHER = "zf_xiaoxiao", "zm_yunxi"

PARITY = """
import sys
from pathlib import Path
import numpy as np, torch
from kuaimei.training.kokoro import load_kokoro
torch.set_num_threads(1)
weights, style, into, *tokens = sys.argv[1:]
kokoro, _ = load_kokoro(Path(weights), torch.device("cpu"))
with torch.no_grad():
    text = kokoro.encode_text([int(token) for token in tokens])
    samples, _ = kokoro.synthesize(text, torch.from_numpy(np.load(style)))
np.save(into, samples.numpy())
"""


@pytest.fixture(scope="module")
def kokoro(settings: Settings) -> Path:
    for name in ("kokoro/fp32.onnx", "ge2e/model.onnx", "campplus/model.onnx"):
        if not (settings.weights_dir / name).is_file():
            pytest.skip(f"the weights to learn voices with are not here ({name}): run make setup")
    need_torch()
    return settings.weights_dir / "kokoro"


@pytest.fixture(scope="module")
def tokens(kokoro: Path) -> list[int]:
    return list(load_alphabet(kokoro).tokens(load_phonemes(None)(SAID)))


@pytest.fixture
def job(tmp_path: Path, kokoro: Path, tokens: list[int], spoken: Spoken) -> Path:
    """A job to learn the style of one stock voice from the style of another."""
    soundfile.write(tmp_path / "reference.wav", to_float(spoken(SAID, VOICE)), ASR_RATE)
    np.save(tmp_path / "style.npy", load_voices(kokoro).style(OTHER, 40)[0])
    describe(tmp_path, kokoro, tokens, step="style", iterations=12)
    return tmp_path


def describe(folder: Path, kokoro: Path, tokens: list[int], **changes: Any) -> None:
    given = {
        "reference": "reference.wav",
        "reference_tokens": tokens,
        "lines": [tokens],
        "style": "style.npy",
        "weights": str(kokoro / "fp32.onnx"),
        "encoders": {name: str(kokoro.parent / name / "model.onnx") for name in ("ge2e", "campplus")},
        "listener": write_asr_loss_spec(kokoro.parent / ASR_LOSS_MODEL, [SAID], "zh"),
        "threads": 1,
        "seconds": 600,
        "device": "cpu",
        **changes,
    }
    (folder / "job.json").write_text(json.dumps(given), encoding="utf-8")


@contextmanager
def learning(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [need_torch(), "-W", "ignore", "-m", "kuaimei.training", folder],
        env={"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)
        assert process.stdout is not None
        process.stdout.close()


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def test_torch_and_onnx_make_the_same_sound(tmp_path: Path, kokoro: Path, tokens: list[int]) -> None:
    style = load_voices(kokoro).style(VOICE, len(tokens))
    np.save(tmp_path / "style.npy", style[0])
    paths = (kokoro / "fp32.onnx", tmp_path / "style.npy", tmp_path / "samples.npy")
    subprocess.run(
        [str(need_torch()), "-W", "ignore", "-c", PARITY, *map(str, paths), *map(str, tokens)],
        env={"PYTHONPATH": str(ROOT / "src")},
        check=True,
        timeout=120,
    )
    feed = {
        "input_ids": np.array([[0, *tokens, 0]], np.int64),
        "style": style,
        "speed": np.ones(1, np.float32),
    }
    theirs = open_session(kokoro / "fp32.onnx", threads=1).run(None, feed)[0].reshape(-1)
    ours = np.load(tmp_path / "samples.npy")
    assert len(ours) == len(theirs)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.05)


def test_a_style_is_learned_through_being_stopped_and_killed(job: Path) -> None:
    with learning(job) as process:
        said = events(process)
        first = next(said)
        process.send_signal(signal.SIGTERM)
        rest = list(said)
        assert process.wait(timeout=60) == 0
    assert first["event"] == "progress"
    assert rest[-1] == {"event": "stopped"}
    done = len(rest)  # `first` and the progress in `rest`, whose last is not one

    with learning(job) as process:
        said = events(process)
        resumed = next(said)
        assert resumed["fraction"] == pytest.approx((done + 1) / 12, abs=1e-3)
        while resumed["fraction"] < 10 / 12 - 1e-3:
            resumed = next(said)
        process.kill()

    with learning(job) as process:
        last = list(events(process))
        assert process.wait(timeout=60) == 0
    # Going on after the last checkpoint; no more than what had been done since is done again.
    assert last[0]["fraction"] == pytest.approx(11 / 12, abs=1e-3)
    assert last[-1]["event"] == "done"
    assert last[-1]["similarity"]["campplus"] > first["similarity"]["campplus"] + 0.02
    style, start = np.load(job / last[-1]["style"]), np.load(job / "style.npy")
    assert style.shape == (256,)
    assert np.isfinite(style).all()
    assert 0.0 < np.abs(style - start).max() < 1.0


def test_a_decoder_is_learned_as_a_small_difference(job: Path, kokoro: Path, tokens: list[int]) -> None:
    describe(job, kokoro, tokens, step="decoder", iterations=3)
    with learning(job) as process:
        last = list(events(process))[-1]
        assert process.wait(timeout=60) == 0
    assert last["event"] == "done", last
    assert (job / last["decoder"]).stat().st_size < 8 << 20
    difference = load_difference(job / last["decoder"])
    stock = read_onnx(kokoro / "fp32.onnx").tensors
    assert len(difference.names) > 200
    changed = [
        name
        for name in difference.names
        if not np.array_equal(difference.apply(name, stock[name]), stock[name])
    ]
    assert len(changed) > 200
    assert not np.array_equal(np.load(job / last["style"])[:128], np.load(job / "style.npy")[:128])
    np.testing.assert_array_equal(np.load(job / last["style"])[128:], np.load(job / "style.npy")[128:])


def test_what_cannot_be_learned_from_is_a_sentence(job: Path) -> None:
    soundfile.write(job / "reference.wav", np.zeros(ASR_RATE * 3, np.float32), ASR_RATE)
    with learning(job) as process:
        said = list(events(process))
        assert process.wait(timeout=60) == 1
    assert [event["event"] for event in said] == ["failed"]
    assert "the reference is silent" in said[0]["message"]
