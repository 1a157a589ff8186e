"""Audio from a WebRTC client: forwarded from its track to the conversation, with gaps filled."""

import asyncio
from collections.abc import Callable

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.audio.resample import StreamResampler

__all__ = ["GapFiller", "forward_audio", "mono"]

_STALL_S = 0.12
"""Seconds without a packet after which silence is inserted (the client sends none, or none arrives)."""
_GAP_LIMIT_S = 2.0
"""Maximum seconds of a gap that is filled; after a longer one the stream starts anew."""


_BURST_S = 10.0
_REALTIME_FACTOR = 1.5
"""Multiple of real time accepted after the burst; faster audio is not from a microphone and is discarded."""


class GapFiller:
    """Tracks missing audio, so that silence keeps its duration.

    A client that sends nothing during silence, and a network that loses packets, would otherwise shorten
    every pause, and the end of a turn would never be detected.

    Args:
        rate: Of time stamps and sample counts, in Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._expected: int | None = None
        self._filled = 0

    def stalled(self) -> int:
        """Return the samples of silence to insert after `_STALL_S` without audio."""
        if self._expected is None:
            return 0
        samples = int(self._rate * _STALL_S)
        self._filled += samples
        return samples

    def silence_before(self, pts: int, samples: int) -> int:
        """Return the samples of silence to insert before a frame of ``samples`` that starts at ``pts``."""
        missing = 0
        if self._expected is not None:
            gap = pts - self._expected
            if 0 < gap <= _GAP_LIMIT_S * self._rate or self._filled:
                missing = max(0, min(gap, int(_GAP_LIMIT_S * self._rate)) - self._filled)
        self._filled = 0
        self._expected = pts + samples
        return missing


async def forward_audio(track: MediaStreamTrack, hear: Callable[[Pcm], None]) -> None:
    """Pass all audio of ``track`` to ``hear`` (16 kHz), until the track ends."""
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
    """Return the samples of a 16-bit frame, mixed down to mono."""
    samples = frame.to_ndarray()
    channels = len(frame.layout.channels)
    if channels == 1:
        return np.ascontiguousarray(samples.reshape(-1), dtype=np.int16)
    if frame.format.is_planar:
        samples = samples.T
    mixed: Pcm = (samples.reshape(-1, channels).astype(np.int32).sum(axis=1) // channels).astype(np.int16)
    return mixed
