import asyncio
from fractions import Fraction

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from kuaimei.audio.pcm import Pcm
from kuaimei.server.webrtc.inbound_audio import GapFiller, forward_audio, mono
from tests.support.virtual_time import virtually


def frame(samples: Pcm, *, pts: int = 0, rate: int = 48_000, layout: str = "stereo") -> AudioFrame:
    made = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    made.sample_rate, made.pts, made.time_base = rate, pts, Fraction(1, rate)
    return made


def test_two_channels_become_one() -> None:
    left, right = np.array([100, 200, 32767], np.int16), np.array([300, -200, 32767], np.int16)
    both = np.stack([left, right], axis=1).reshape(-1)
    assert mono(frame(both)).tolist() == [200, 0, 32767]
    assert mono(frame(left, layout="mono")).tolist() == left.tolist()


def test_a_stream_without_gaps_is_left_alone() -> None:
    gaps = GapFiller(48_000)
    assert [gaps.silence_before(n * 960, 960) for n in range(5)] == [0] * 5


def test_lost_packets_take_their_time() -> None:
    gaps = GapFiller(48_000)
    assert gaps.stalled() == 0  # before the first packet there is nothing to wait for
    gaps.silence_before(0, 960)
    assert gaps.silence_before(960 * 4, 960) == 960 * 3
    assert gaps.silence_before(960 * 5, 960) == 0


def test_what_was_filled_while_waiting_is_not_filled_again() -> None:
    gaps = GapFiller(48_000)
    gaps.silence_before(0, 960)
    filled = gaps.stalled() + gaps.stalled()
    assert filled == int(48_000 * 0.12) * 2
    assert gaps.silence_before(960 + 48_000, 960) == 48_000 - filled
    assert gaps.silence_before(960 * 2 + 48_000, 960) == 0


def test_time_stamps_that_jump_are_a_new_beginning() -> None:
    gaps = GapFiller(48_000)
    gaps.silence_before(0, 960)
    assert gaps.silence_before(48_000 * 3600, 960) == 0
    assert gaps.silence_before(0, 960) == 0  # backwards too


class Track(MediaStreamTrack):
    kind = "audio"

    def __init__(self, frames: list[AudioFrame | None]) -> None:
        super().__init__()
        self._frames = frames

    async def recv(self) -> AudioFrame:
        if not self._frames:
            raise MediaStreamError
        given = self._frames.pop(0)
        if given is None:
            await asyncio.sleep(0.2)
            return await self.recv()
        return given


@virtually
async def test_a_client_that_sends_nothing_is_silent() -> None:
    loud = np.full(960 * 2, 8000, np.int16)
    heard: list[Pcm] = []
    # 200 ms of sound, a pause in which no packet comes, 200 ms of sound.
    first = [frame(loud, pts=n * 960) for n in range(10)]
    later = [frame(loud, pts=(n + 20) * 960) for n in range(10)]
    await forward_audio(Track([*first, None, *later]), heard.append)
    samples = np.concatenate(heard)
    assert len(samples) == pytest.approx(0.6 * 16_000, rel=0.06)  # the resampler keeps the last of it
    assert np.abs(samples[int(0.25 * 16_000) : int(0.35 * 16_000)]).max() < 100
    assert np.abs(samples[int(0.1 * 16_000)]) > 7000


@virtually
async def test_what_comes_faster_than_any_microphone_is_not_heard() -> None:
    sound = np.full(960 * 2, 8000, np.int16)
    heard: list[Pcm] = []
    await forward_audio(Track([frame(sound, pts=n * 960) for n in range(50 * 60)]), heard.append)
    assert sum(map(len, heard)) / 16_000 == pytest.approx(10.0, abs=0.5)
