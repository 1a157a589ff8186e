import numpy as np
import pytest

from kuaimei.audio.pcm import EMPTY
from kuaimei.audio.resample import StreamResampler, resample


def tone(rate: int, seconds: float = 1.0, hertz: float = 440.0) -> np.ndarray:
    return (np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate) * 8000).astype(np.int16)


@pytest.mark.parametrize(
    ("source", "target"), [(24000, 16000), (48000, 16000), (44100, 16000), (16000, 24000)]
)
def test_a_tone_stays_the_same_tone(source: int, target: int) -> None:
    made = resample(tone(source), source, target)
    assert len(made) == target
    middle = slice(target // 10, -target // 10)
    assert np.abs(made[middle].astype(int) - tone(target)[middle]).max() < 8


@pytest.mark.parametrize("piece", [1, 160, 479, 5000])
def test_a_stream_has_no_seams(piece: int) -> None:
    pcm = tone(24000, 0.5)
    stream = StreamResampler(24000, 16000)
    parts = [stream.push(pcm[i : i + piece]) for i in range(0, len(pcm), piece)] + [stream.flush()]
    assert np.array_equal(np.concatenate(parts), resample(pcm, 24000, 16000))


def test_a_flushed_stream_is_as_new() -> None:
    pcm = tone(48000, 0.3)
    stream = StreamResampler(48000, 16000)
    first = np.concatenate([stream.push(pcm), stream.flush()])
    assert np.array_equal(first, np.concatenate([stream.push(pcm), stream.flush()]))


def test_equal_rates_pass_through() -> None:
    pcm = tone(16000)
    assert resample(pcm, 16000, 16000) is pcm
    stream = StreamResampler(16000, 16000)
    assert stream.push(pcm) is pcm
    assert not len(stream.flush())


def test_silence_stays_silent_and_nothing_stays_nothing() -> None:
    assert not resample(np.zeros(4800, np.int16), 48000, 16000).any()
    assert not len(resample(EMPTY, 48000, 16000))
    assert not len(StreamResampler(48000, 16000).push(EMPTY))
