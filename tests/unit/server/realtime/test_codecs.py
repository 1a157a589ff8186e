import numpy as np
import pytest

from kuaimei.audio.pcm import from_bytes, to_bytes
from kuaimei.server.realtime.codecs import RATES, AudioFormat, InputDecoder, OutputEncoder

LAWS: list[AudioFormat] = ["audio/pcmu", "audio/pcma"]


def tone(rate: int, seconds: float = 0.5, hz: float = 440.0) -> np.ndarray:
    time = np.arange(int(rate * seconds)) / rate
    return (8000 * np.sin(2 * np.pi * hz * time)).astype(np.int16)


@pytest.mark.parametrize(
    ("fmt", "code", "sample"),
    [  # ITU-T G.711: the ends of the scale, and next to nothing, in 16 bits
        ("audio/pcmu", 0x00, -32124),
        ("audio/pcmu", 0x80, 32124),
        ("audio/pcmu", 0xFF, 0),
        ("audio/pcmu", 0xFE, 8),
        ("audio/pcma", 0xD5, 8),
        ("audio/pcma", 0x55, -8),
        ("audio/pcma", 0xAA, 32256),
        ("audio/pcma", 0x2A, -32256),
    ],
)
def test_codes_of_g711(fmt: AudioFormat, code: int, sample: int) -> None:
    # At the wire's own rate nothing is resampled: the encoder shows the tables.
    assert OutputEncoder(fmt, 8000).push(np.array([sample], np.int16)) == bytes([code])


@pytest.mark.parametrize("fmt", LAWS)
def test_every_code_survives(fmt: AudioFormat) -> None:
    wire = InputDecoder(fmt)
    levels = wire._decode(bytes(range(256)))
    assert len(set(levels.tolist())) == (255 if fmt == "audio/pcmu" else 256)  # µ-law has two zeros
    again = OutputEncoder(fmt, 8000).push(levels)
    assert np.array_equal(wire._decode(again), levels)


@pytest.mark.parametrize("fmt", ["audio/pcm", *LAWS])
def test_a_tone_comes_through_in_packets(fmt: AudioFormat) -> None:
    rate = RATES[fmt]
    out = OutputEncoder(fmt, 24_000)
    sent = b"".join(out.push(part) for part in np.array_split(tone(24_000), 25)) + out.flush()
    assert len(sent) / (2 if fmt == "audio/pcm" else 1) == pytest.approx(rate * 0.5, abs=2)
    ears = InputDecoder(fmt)
    size = 320
    parts = [ears.push(sent[i : i + size]) for i in range(0, len(sent), size)]
    heard = np.concatenate([*parts, ears.flush()]).astype(float)
    wanted = tone(16_000).astype(float)
    length = min(len(heard), len(wanted))
    middle = slice(800, length - 800)
    assert np.corrcoef(heard[middle], wanted[middle])[0, 1] > 0.995


def test_pcm_at_24_khz_is_left_alone() -> None:
    sound = tone(24_000)
    assert np.array_equal(from_bytes(OutputEncoder("audio/pcm", 24_000).push(sound)), sound)


def test_half_a_sample_is_refused() -> None:
    ears = InputDecoder("audio/pcm")
    with pytest.raises(ValueError, match="multiple"):
        ears.push(b"odd")
    assert len(ears.push(to_bytes(tone(24_000))))  # and the next packet is heard
