import struct
from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.decode import decode
from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import Pcm
from kuaimei.errors import AudioError


def noise(seconds: float, rate: int = 16000) -> Pcm:
    return np.random.default_rng(0).integers(-3000, 3000, int(seconds * rate)).astype(np.int16)


async def test_a_path_is_as_good_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "一.wav"
    path.write_bytes(encode(noise(0.5), 16000, "wav"))
    assert np.array_equal(await decode(path), noise(0.5))
    assert np.array_equal(await decode(path.read_bytes()), noise(0.5))


async def test_stereo_becomes_mono() -> None:
    left = noise(0.2)
    body = np.stack([left, left], axis=1).astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 16000, 64000, 4, 16)
    head = (
        struct.pack("<4sI4s", b"RIFF", len(body) + 36, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", len(body))
    )
    assert np.abs((await decode(head + body)).astype(int) - left).max() <= 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"this is a letter, not a song\n" * 200,
        bytes(100_000),
        b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x89PNG\r\n\x1a\n" + bytes(2000),
        encode(noise(2), 16000, "flac")[:600],
    ],
    ids=["nothing", "text", "zeros", "playlist", "concat", "picture", "beheaded"],
)
async def test_what_is_no_audio_is_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(AudioError) as refused:
        await decode(data)
    assert "\n" not in str(refused.value)


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="nowhere"):
        await decode(tmp_path / "nowhere.wav")


@pytest.mark.parametrize("fmt", ["wav", "mp3", "opus", "flac", "aac"])
async def test_of_a_torn_file_the_beginning_is_kept(fmt: str) -> None:
    whole = encode(noise(3), 16000, fmt)
    decoded = await decode(whole[: len(whole) // 2])
    assert 0.3 * 16000 < len(decoded) < 2.5 * 16000


async def test_a_header_that_promises_more_than_there_is() -> None:
    data = bytearray(encode(noise(0.5), 16000, "wav"))
    data[40:44] = struct.pack("<I", 0x7FFFFFF0)  # hours of it
    assert len(await decode(bytes(data))) == 8000


async def test_too_long_is_refused_before_it_is_held() -> None:
    # An hour of silence in a file of a few hundred kilobytes.
    bomb = encode(np.zeros(3600 * 8000, np.int16), 8000, "flac")
    assert len(bomb) < 1_000_000
    with pytest.raises(AudioError, match="longer than 60 s"):
        await decode(bomb, max_s=60)


async def test_decoding_ends_when_its_time_is_up() -> None:
    with pytest.raises(AudioError, match="within"):
        await decode(encode(noise(1), 16000, "wav"), timeout_s=0.001)


async def test_an_absurd_rate_does_no_harm() -> None:
    data = bytearray(encode(noise(0.5), 16000, "wav"))
    data[24:28] = struct.pack("<I", 0xFFFFFFFF)
    with pytest.raises(AudioError):
        await decode(bytes(data))
