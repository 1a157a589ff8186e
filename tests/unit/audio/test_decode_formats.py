"""What people upload is decoded, whatever is in the file beside the sound; the rest is not even looked at."""

import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer

from kuaimei.audio import decode as decoding
from kuaimei.audio.decode import decode
from kuaimei.errors import AudioError

SECONDS = 2


def recording(form: str, codec: str, rate: int = 16000, video: str | None = None) -> bytes:
    """A tone, and a few pictures if ``video`` is a codec of pictures."""
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        pictures = None if video is None else _pictures(container, video, 25, 64)
        sound = container.add_stream(codec, rate=rate)
        assert isinstance(sound, av.AudioStream)
        sound.layout = "mono"
        if codec.startswith("wma"):
            sound.bit_rate = 64_000
        resampler = av.AudioResampler(
            format=sound.format.name, layout="mono", rate=rate, frame_size=sound.frame_size or None
        )
        tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(rate * SECONDS) / rate)).astype(np.int16)
        whole = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        whole.rate, whole.pts = rate, 0
        if pictures is not None:
            for number in range(10):
                picture = av.VideoFrame(64, 64, "yuv420p")
                picture.pts = number
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode(None))
        for frame in (*resampler.resample(whole), *resampler.resample(None)):
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return out.getvalue()


def _pictures(container: OutputContainer, codec: str, rate: int, side: int) -> av.VideoStream:
    stream = container.add_stream(codec, rate=rate)
    assert isinstance(stream, av.VideoStream)
    stream.width = stream.height = side
    stream.pix_fmt = "yuv420p"
    return stream


@pytest.mark.parametrize(
    ("form", "codec", "rate", "video"),
    [
        ("wav", "pcm_s16le", 16000, None),
        ("wav", "pcm_s24le", 48000, None),
        ("wav", "pcm_f32le", 16000, None),
        ("wav", "pcm_alaw", 8000, None),
        ("wav", "adpcm_ms", 16000, None),
        ("wav", "adpcm_ima_wav", 16000, None),
        ("w64", "pcm_s16le", 16000, None),
        ("mp3", "libmp3lame", 16000, None),
        ("ipod", "aac", 16000, None),
        ("mp4", "aac", 16000, "mpeg4"),
        ("mov", "alac", 16000, None),
        ("mov", "aac", 44100, "mpeg4"),
        ("ogg", "libopus", 48000, None),
        ("ogg", "flac", 16000, None),
        ("webm", "libopus", 48000, None),
        ("webm", "libopus", 48000, "libvpx"),
        ("flac", "flac", 16000, None),
        ("adts", "aac", 16000, None),
        ("amr", "libopencore_amrnb", 8000, None),
        ("3gp", "libopencore_amrnb", 8000, None),
        ("3gp", "aac", 16000, "mpeg4"),
        ("asf", "wmav2", 44100, None),
        ("aiff", "pcm_s16be", 16000, None),
        ("caf", "pcm_s16le", 16000, None),
        ("matroska", "aac", 16000, "mpeg4"),
        ("avi", "libmp3lame", 44100, "mpeg4"),
        ("mpegts", "aac", 16000, "mpeg2video"),
        ("mpegts", "ac3", 48000, None),
    ],
)
async def test_what_people_upload_is_decoded(form: str, codec: str, rate: int, video: str | None) -> None:
    pcm = await decode(recording(form, codec, rate, video))
    assert 0.9 * SECONDS < len(pcm) / 16000 < 1.15 * SECONDS
    spectrum = np.abs(np.fft.rfft(pcm[4000:20000].astype(float)))
    assert abs(int(np.argmax(spectrum)) - 440) <= 2


@pytest.mark.parametrize(("form", "codec"), [("au", "pcm_s16be"), ("ac3", "ac3"), ("tta", "tta")])
async def test_containers_that_no_recorder_writes_are_refused(form: str, codec: str) -> None:
    with pytest.raises(AudioError):
        await decode(recording(form, codec, 48000))


async def test_a_codec_that_is_not_read_is_refused_in_one_sentence() -> None:
    with pytest.raises(AudioError, match="format"):
        await decode(recording("matroska", "tta"))


def many_pictures(streams: int, side: int) -> bytes:
    """A second of silence behind ``streams`` pictures: small in the file, huge when they are decoded."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        sound = container.add_stream("pcm_s16le", rate=16000)
        assert isinstance(sound, av.AudioStream)
        sound.layout = "mono"
        all_pictures = [_pictures(container, "mpeg4", 1, side) for _ in range(streams)]
        black = av.VideoFrame(side, side, "yuv420p")
        black.pts = 0
        for plane in black.planes:
            plane.update(bytes(plane.buffer_size))
        first = all_pictures[0]
        encoded = [bytes(packet) for packet in (*first.encode(black), *first.encode(None))]
        for pictures in all_pictures:
            for data in encoded:
                packet = av.Packet(data)
                packet.stream, packet.pts, packet.dts, packet.is_keyframe = pictures, 0, 0, True
                packet.time_base = Fraction(1, 1000)
                container.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        silence.rate, silence.pts = 16000, 0
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    return out.getvalue()


def test_pictures_are_never_decoded(tmp_path: Path) -> None:
    """31 pictures of 9 megapixels take 150 MB and more to decode; without them, Python itself takes most."""
    path = tmp_path / "pictures.mkv"
    path.write_bytes(many_pictures(31, 3000))
    worker = Path(decoding.__file__).with_name("_decode_worker.py")
    # By a small process between: a child's peak begins with that of the process it was started from.
    script = (
        "import resource, subprocess, sys\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    done = subprocess.run(sys.argv[2:], stdin=file, capture_output=True, check=True)\n"
        "print(len(done.stdout), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    command = [sys.executable, "-I", str(worker), "16000", "60", "30", "1024"]
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), *command], capture_output=True, text=True, check=True
    )
    samples, peak_kb = map(int, done.stdout.split())
    assert samples == 2 * 16000
    assert peak_kb < 100_000
