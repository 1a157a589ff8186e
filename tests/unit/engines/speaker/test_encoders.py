"""The encoders' real code on random weights; what they hear in real voices is an integration test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, from_float
from kuaimei.audio.resample import resample
from kuaimei.engines.onnx_sessions import open_session
from kuaimei.engines.speaker import SpeakerEncoder, open_encoder
from kuaimei.errors import AudioError, WeightsError
from kuaimei.models.convert.speaker_onnx import convert_speaker
from kuaimei.models.onnx_writer import Graph
from tests.unit.engines.speaker import random_encoders
from tests.unit.models.tiny_checkpoint import write_zipped

KINDS: dict[str, tuple[Callable[[], random_encoders.Weights], int]] = {
    "ge2e": (random_encoders.ge2e, 256),
    "campplus": (random_encoders.campplus, 12),
    "eres2net": (random_encoders.eres2net, 12),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A converted model of each kind."""
    made = {}
    for name, (weights, _) in KINDS.items():
        source, made[name] = tmp_path_factory.mktemp(f"{name}-source"), tmp_path_factory.mktemp(name)
        write_zipped(source / "checkpoint.pt", weights())
        convert_speaker(source, made[name])
    return made


@pytest.fixture(scope="module")
def encoders(folders: dict[str, Path]) -> dict[str, SpeakerEncoder]:
    return {name: open_encoder(folder) for name, folder in folders.items()}


def buzz(seconds: float, hz: float = 140.0, rate: int = 16_000, level: float = 0.3) -> Pcm:
    """Something voiced: harmonics that wax and wane three times a second."""
    t = np.arange(int(seconds * rate)) / rate
    sound = sum(np.sin(2 * np.pi * hz * n * t) / n for n in range(1, 20))
    return from_float(level * sound * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)) / 3)


@pytest.mark.parametrize("name", KINDS)
def test_an_embedding_has_length_one_and_is_the_same_every_time(
    encoders: dict[str, SpeakerEncoder], name: str
) -> None:
    encoder, pcm = encoders[name], buzz(3.0)

    embedding = encoder.embed(pcm, 16_000)

    assert encoder.name == name
    assert embedding.shape == (KINDS[name][1],)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(embedding, encoder.embed(pcm, 16_000))


@pytest.mark.parametrize("name", KINDS)
def test_rate_and_level_hardly_matter_but_the_voice_does(
    encoders: dict[str, SpeakerEncoder], name: str
) -> None:
    encoder, pcm = encoders[name], buzz(3.0)
    embedding = encoder.embed(pcm, 16_000)

    def alike(other: Pcm, rate: int = 16_000) -> float:
        return float(embedding @ encoder.embed(other, rate))

    another = alike(buzz(3.0, hz=230.0))
    assert alike(resample(pcm, 16_000, 24_000), 24_000) > 0.99
    if name != "ge2e":  # GE2E hears levels, as it was trained to, above -30 dBFS
        assert alike((pcm // 2).astype(np.int16)) > 0.99
    assert alike(pcm) == pytest.approx(1.0, abs=1e-5)
    assert another < alike(resample(pcm, 16_000, 24_000), 24_000)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("seconds", [0.03, 0.4, 1.7, 65.0])
def test_any_length_will_do(encoders: dict[str, SpeakerEncoder], name: str, seconds: float) -> None:
    assert np.isfinite(encoders[name].embed(buzz(seconds), 16_000)).all()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("samples", [0, 1, 16_000])
def test_silence_has_no_voice(encoders: dict[str, SpeakerEncoder], name: str, samples: int) -> None:
    with pytest.raises(AudioError, match="silent"):
        encoders[name].embed(np.zeros(samples, np.int16), 16_000)


def test_ge2e_computes_what_its_paper_says(folders: dict[str, Path]) -> None:
    weights = random_encoders.ge2e()
    mels = np.random.default_rng(4).random((2, 160, 40)).astype(np.float32)

    found = open_session(folders["ge2e"] / "model.onnx", threads=1).run(None, {"mels": mels})[0]

    x: NDArray[np.float64] = mels.astype(np.float64)
    for layer in range(3):
        w, u = (weights[f"lstm.weight_{part}_l{layer}"].astype(np.float64) for part in ("ih", "hh"))
        bias = weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"]
        hidden = cell = np.zeros((2, 256))
        steps = []
        for step in range(160):
            i, f, g, o = np.split(x[:, step] @ w.T + hidden @ u.T + bias, 4, axis=1)
            cell = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            hidden = np.tanh(cell) / (1 + np.exp(-o))
            steps.append(hidden)
        x = np.stack(steps, axis=1)
    raw = np.maximum(x[:, -1] @ weights["linear.weight"].T + weights["linear.bias"], 0.0)
    np.testing.assert_allclose(found, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-5)


def test_the_networks_look_at_every_moment(folders: dict[str, Path]) -> None:
    """Padding, strides and segments: a change at either end, or in any segment, is heard."""
    fbank = np.random.default_rng(5).standard_normal((1, 431, 80)).astype(np.float32)
    for name in ("campplus", "eres2net"):
        session = open_session(folders[name] / "model.onnx", threads=1)
        before = session.run(None, {"fbank": fbank})[0]
        for frame in (0, 150, 290, 430):
            changed = fbank.copy()
            changed[0, frame] += 5.0
            assert np.abs(session.run(None, {"fbank": changed})[0] - before).max() > 1e-6


def test_a_pause_is_shortened_for_ge2e(encoders: dict[str, SpeakerEncoder]) -> None:
    pcm = buzz(3.0)
    paused = np.concatenate([pcm[:24_000], np.zeros(48_000, np.int16), pcm[24_000:]])
    assert encoders["ge2e"].embed(pcm, 16_000) @ encoders["ge2e"].embed(paused, 16_000) > 0.98


@pytest.mark.parametrize("left_out", ["lstm.weight_hh_l1", "linear.bias"])
def test_half_an_encoder_is_refused(tmp_path: Path, left_out: str) -> None:
    weights = random_encoders.ge2e()
    del weights[left_out]
    write_zipped(tmp_path / "checkpoint.pt", weights)
    with pytest.raises(WeightsError, match="complete speaker encoder"):
        convert_speaker(tmp_path, tmp_path)


def test_another_network_is_refused(tmp_path: Path) -> None:
    write_zipped(tmp_path / "checkpoint.pt", {"weight": np.zeros(3, np.float32)})
    with pytest.raises(WeightsError, match="no known speaker encoder"):
        convert_speaker(tmp_path, tmp_path)

    graph = Graph("something", {})
    same = graph.node("Relu", "x")
    graph.save(tmp_path / "model.onnx", {"x": (1,)}, {"y": (same, (1,))})
    with pytest.raises(WeightsError, match="not a speaker encoder"):
        open_encoder(tmp_path)
    with pytest.raises(WeightsError, match="there is no ONNX model"):
        open_encoder(tmp_path / "nothing")
