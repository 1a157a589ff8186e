"""What a WebRTC client says: from its track to the conversation, without gaps."""

import asyncio
from collections.abc import Callable

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.audio.resample import StreamResampler

__all__ = ["GapFiller", "forward_audio", "mono"]

_STALL_S = 0.12
"""Without a packet for so long the client is silent (it sends none, or none arrives)."""
_GAP_LIMIT_S = 2.0
"""A longer gap in the stream is not filled: it is a new beginning."""


_BURST_S = 10.0
_REALTIME_FACTOR = 1.5
"""Faster than real time, beyond the burst: what comes faster still is no microphone, and is not heard."""


class GapFiller:
    """Keeps account of sound that never came, so that silence takes its time.

    A client that sends nothing while nobody speaks, and a network that loses packets, would else
    make every pause shorter than it was, and the end of a turn would never be noticed.

    Args:
        rate: Of the time stamps and of everything counted here, in Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._expected: int | None = None
        self._filled = 0

    def stalled(self) -> int:
        """Nothing came for `_STALL_S`: samples of silence to be heard now."""
        if self._expected is None:
            return 0
        samples = int(self._rate * _STALL_S)
        self._filled += samples
        return samples

    def silence_before(self, pts: int, samples: int) -> int:
        """Samples of silence to be heard before a frame of ``samples`` that begins at ``pts``."""
        missing = 0
        if self._expected is not None:
            gap = pts - self._expected
            if 0 < gap <= _GAP_LIMIT_S * self._rate or self._filled:
                missing = max(0, min(gap, int(_GAP_LIMIT_S * self._rate)) - self._filled)
        self._filled = 0
        self._expected = pts + samples
        return missing


async def forward_audio(track: MediaStreamTrack, hear: Callable[[Pcm], None]) -> None:
    """Give everything heard on ``track`` to ``hear`` (16 kHz), until it ends."""
    rate = 0
    resampler = StreamResampler(ASR_RATE, ASR_RATE)
    gaps = GapFiller(ASR_RATE)
    loop = asyncio.get_running_loop()
    began, heard_s = loop.time(), 0.0
    receiving: asyncio.Future[object] = asyncio.ensure_future(track.recv())
    try:
        while True:
            done, _ = await asyncio.wait((receiving,), timeout=_STALL_S)
            if not done:
                if samples := gaps.stalled():
                    hear(resampler.push(np.zeros(samples, np.int16)))
                continue
            frame = receiving.result()
            receiving = asyncio.ensure_future(track.recv())
            if not isinstance(frame, AudioFrame):
                continue
            if frame.sample_rate != rate:
                rate = frame.sample_rate
                resampler, gaps = StreamResampler(rate, ASR_RATE), GapFiller(rate)
            heard_s += frame.samples / rate
            if heard_s > _BURST_S + (loop.time() - began) * _REALTIME_FACTOR:
                continue
            pcm = mono(frame)
            if frame.pts is not None and (missing := gaps.silence_before(frame.pts, len(pcm))):
                pcm = np.concatenate((np.zeros(missing, np.int16), pcm))
            hear(resampler.push(pcm))
    except MediaStreamError:
        return
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


def mono(frame: AudioFrame) -> Pcm:
    """The samples of a 16-bit frame, its channels mixed to one."""
    samples = frame.to_ndarray()
    channels = len(frame.layout.channels)
    if channels == 1:
        return np.ascontiguousarray(samples.reshape(-1), dtype=np.int16)
    if frame.format.is_planar:
        samples = samples.T
    mixed: Pcm = (samples.reshape(-1, channels).astype(np.int32).sum(axis=1) // channels).astype(np.int16)
    return mixed
