import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError
from av import CodecContext

from kuaimei.audio.pcm import Pcm
from kuaimei.server.webrtc.opus import FRAME, RATE, OpusEncoder
from kuaimei.server.webrtc.outbound_track import ReplyTrack


def wave(frames: int) -> Pcm:
    at = np.arange(frames * FRAME) / RATE
    sine: Pcm = (10_000 * np.sin(2 * np.pi * 200 * at)).astype(np.int16)
    return sine


def test_what_is_encoded_can_be_heard_and_silence_is_silent() -> None:
    encoder = OpusEncoder()
    sound = wave(25)
    frames: list[Pcm | None] = [*np.split(sound, 25), *[None] * 50, *np.split(sound, 25)]
    packets = [encoder.encode(frame, n * FRAME) for n, frame in enumerate(frames)]
    assert [packet.pts for packet in packets] == [n * FRAME for n in range(100)]
    assert len({bytes(packet) for packet in packets[40:75]}) == 1  # settled: one like the other
    decoder = CodecContext.create("libopus", "r")
    heard = []
    for packet in packets:
        heard += [frame.to_ndarray().reshape(-1) for frame in decoder.decode(packet)]
    loudness = [float(np.sqrt(np.mean(np.square(h.astype(np.float64))))) for h in heard]
    scale = max(loudness)
    assert all(level > 0.5 * scale for level in loudness[3:24] + loudness[79:99])
    assert all(level < 0.01 * scale for level in loudness[30:75])


async def test_packets_come_in_real_time_and_in_step() -> None:
    with ThreadPoolExecutor(1) as executor:
        given = iter([*np.split(wave(5), 5), *[None] * 20])
        track = ReplyTrack(lambda: next(given), executor)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        packets = [await track.recv() for _ in range(25)]
        assert loop.time() - begun >= 24 * 0.02 - 0.005  # never earlier
        assert [packet.pts for packet in packets] == [n * FRAME for n in range(25)]
        track.stop()
        with pytest.raises(MediaStreamError):
            await track.recv()


async def test_after_a_long_hiccup_lost_time_is_not_made_up() -> None:
    with ThreadPoolExecutor(1) as executor:
        track = ReplyTrack(lambda: None, executor)
        for _ in range(10):
            await track.recv()
        loop = asyncio.get_running_loop()
        assert track._due is not None
        track._due -= 1.0  # as if everything had stood still for a second
        begun = loop.time()
        packets = [await track.recv() for _ in range(6)]
        assert loop.time() - begun >= 0.095
        assert packets[-1].pts == 15 * FRAME
