import io

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.decode import decode
from kuaimei.audio.encode import CONTENT_TYPES, StreamEncoder, encode
from kuaimei.audio.pcm import EMPTY, Pcm, from_bytes
from kuaimei.errors import AudioError

CODED = [fmt for fmt in CONTENT_TYPES if fmt != "pcm"]


def chirp(rate: int, seconds: float = 1.0) -> Pcm:
    time = np.arange(int(rate * seconds)) / rate
    return (np.sin(2 * np.pi * (200 + 600 * time) * time) * 9000).astype(np.int16)


def likeness(a: Pcm, b: Pcm) -> float:
    """Highest correlation within 150 ms of shift: codecs delay."""
    n = min(len(a), len(b)) - 2400
    x = b[800 : 800 + n].astype(float)
    return max(float(np.corrcoef(x, a[s : s + n].astype(float))[0, 1]) for s in range(2400))


@pytest.mark.parametrize("fmt", CODED)
@pytest.mark.parametrize("rate", [16000, 24000, 22222])
async def test_what_is_encoded_can_be_decoded(fmt: str, rate: int) -> None:
    decoded = await decode(encode(chirp(rate), rate, fmt), 16000)
    assert len(decoded) == pytest.approx(16000, abs=2400)
    assert likeness(decoded, chirp(16000)) > 0.98


@pytest.mark.parametrize("fmt", CODED)
async def test_a_stream_says_the_same_as_a_whole(fmt: str) -> None:
    pcm = chirp(24000)
    encoder = StreamEncoder(fmt, 24000)
    parts = [encoder.push(pcm[i : i + 480]) for i in range(0, len(pcm), 480)]
    early = b"".join(parts[:13])
    stream = b"".join([*parts, encoder.finish()])
    assert early, "the first bytes come within 260 ms of sound"
    whole = await decode(encode(pcm, 24000, fmt))
    assert likeness(await decode(stream), whole[: len(whole) - 1]) > 0.99


def test_lossless_is_lossless() -> None:
    pcm = chirp(24000)
    assert np.array_equal(from_bytes(encode(pcm, 24000, "pcm")), pcm)
    for fmt in ("wav", "flac"):
        samples, rate = soundfile.read(io.BytesIO(encode(pcm, 24000, fmt)), dtype="int16")
        assert rate == 24000
        assert np.array_equal(samples, pcm)


@pytest.mark.parametrize("fmt", list(CONTENT_TYPES))
def test_nothing_can_be_encoded(fmt: str) -> None:
    assert isinstance(encode(EMPTY, 24000, fmt), bytes)
    assert isinstance(StreamEncoder(fmt, 24000).finish(), bytes)


def test_an_open_ended_wav_is_read_to_its_end() -> None:
    encoder = StreamEncoder("wav", 24000)
    data = encoder.push(chirp(24000)) + encoder.finish()
    samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    assert len(samples) == 24000


def test_an_unknown_format_is_named_with_those_there_are() -> None:
    with pytest.raises(AudioError, match=r"'ra'.*mp3"):
        StreamEncoder("ra", 24000)
    with pytest.raises(AudioError, match="ra"):
        encode(EMPTY, 24000, "ra")
