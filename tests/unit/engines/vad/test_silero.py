from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm, from_float
from kuaimei.engines.onnx_sessions import OnnxSession
from kuaimei.engines.vad.silero import SileroVad, load_silero
from kuaimei.errors import WeightsError


@pytest.fixture(scope="module")
def session() -> OnnxSession:
    return load_silero()


def _sounds(frames: int) -> Pcm:
    """Voice-like: a buzzing source through two resonances, three syllables a second, with some noise."""
    t = np.arange(frames * 512) / 16_000
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    source = sum(
        np.sin(k * phase)
        * (np.exp(-(((k * 120 - 700) / 250) ** 2)) + np.exp(-(((k * 120 - 1200) / 300) ** 2)))
        for k in range(1, 30)
    )
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)
    noise = np.random.default_rng(1).normal(0, 0.002, len(t))
    return from_float(0.2 * source * syllables + noise)


def test_a_stream_gives_the_numbers_of_the_whole_recording(session: OnnxSession) -> None:
    from faster_whisper.vad import get_vad_model  # type: ignore[import-untyped]

    pcm = _sounds(40)
    expected = get_vad_model()(pcm.astype(np.float32) / 32768.0).reshape(-1)

    vad = SileroVad(session)
    heard = [vad.probability(pcm[start : start + 512]) for start in range(0, len(pcm), 512)]

    assert np.ptp(expected) > 0.01  # the sound does move the network
    # faster-whisper silences the end of the last frame, which it uses up as its first one's context.
    np.testing.assert_allclose(heard[:-1], expected[:-1], atol=1e-4)


def test_silence_is_no_speech(session: OnnxSession) -> None:
    vad = SileroVad(session)
    assert max(vad.probability(np.zeros(512, np.int16)) for _ in range(30)) < 0.1


def test_streams_share_the_network_but_no_state(session: OnnxSession) -> None:
    pcm = _sounds(20)
    alone = SileroVad(session)
    expected = [alone.probability(pcm[start : start + 512]) for start in range(0, len(pcm), 512)]

    one, other = SileroVad(session), SileroVad(session)
    heard = []
    for start in range(0, len(pcm), 512):
        other.probability(pcm[::-1][start : start + 512].copy())
        heard.append(one.probability(pcm[start : start + 512]))

    assert heard == expected


def test_reset_forgets_everything(session: OnnxSession) -> None:
    pcm = _sounds(20)
    vad = SileroVad(session)
    first = [vad.probability(pcm[start : start + 512]) for start in range(0, len(pcm), 512)]
    vad.reset()
    assert [vad.probability(pcm[start : start + 512]) for start in range(0, len(pcm), 512)] == first


def test_a_frame_of_another_length_is_refused(session: OnnxSession) -> None:
    with pytest.raises(ValueError, match="512 samples"):
        SileroVad(session).probability(np.zeros(480, np.int16))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a network")
    with pytest.raises(WeightsError, match="not a readable ONNX model"):
        load_silero(tmp_path)
    with pytest.raises(WeightsError, match="there is no ONNX model at"):
        load_silero(tmp_path / "elsewhere")
