"""What is heard of a reply and what is told of it, frame by frame."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.server.realtime.codecs import AudioFormat
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.webrtc.playout import Playout


@dataclass
class Spoken:
    turn: int = 1
    id: str = "resp_1"
    item_id: str = "item_1"
    fmt: AudioFormat = "audio/pcm"


class Listener:
    def __init__(self) -> None:
        self.outbox = SendQueue(10_000_000)
        self.playout = Playout(self.outbox)
        self.played: list[float] = []
        self.playout.played = self.played.append
        self.heard: list[Pcm | None] = []

    def take(self, frames: int = 1) -> None:
        self.heard += [self.playout.read_frame() for _ in range(frames)]

    def until_silent(self) -> None:
        while (frame := self.playout.read_frame()) is not None:
            self.heard.append(frame)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(letter.text) for letter in self.outbox._letters]

    @property
    def kinds(self) -> list[str]:
        return [e["type"] for e in self.events if e["type"].startswith("output_audio_buffer.")]


def wave(ms: float, rate: int = 24_000) -> Pcm:
    at = np.arange(int(rate * ms / 1000)) / rate
    sine: Pcm = (10_000 * np.sin(2 * np.pi * 200 * at)).astype(np.int16)
    return sine


def test_a_reply_is_heard_whole_and_its_end_is_told_last() -> None:
    listener, reply = Listener(), Spoken()
    listener.take(2)
    assert listener.heard == [None, None]
    sound = wave(1000)
    for start in range(0, len(sound), 7000):
        listener.playout.play(reply, sound[start : start + 7000], 24_000, start / 24.0)
    listener.take(5)
    assert listener.kinds == ["output_audio_buffer.started"]
    listener.until_silent()
    assert listener.kinds == ["output_audio_buffer.started"]  # more may come
    listener.playout.finish(reply)
    listener.take()
    assert listener.kinds == ["output_audio_buffer.started", "output_audio_buffer.stopped"]
    heard = np.concatenate([frame for frame in listener.heard if frame is not None])
    assert len(heard) == 50 * 960
    expected = wave(1000, 48_000).astype(np.int32)
    assert np.abs(heard.astype(np.int32) - expected)[100:-100].max() < 500
    assert listener.played[-1] == pytest.approx(1000.0)
    assert listener.played == sorted(listener.played)
    playing = [e["played_ms"] for e in listener.events if e["type"] == "kuaimei.reply.playing"]
    assert playing == pytest.approx(listener.played, abs=0.1)


def test_silence_is_there_in_a_frame_and_the_place_is_known() -> None:
    listener, reply = Listener(), Spoken()
    listener.playout.play(reply, wave(5000), 24_000, 0.0)
    listener.playout.finish(reply)
    listener.take(50)
    listener.playout.silence(reply)
    assert listener.played[-1] == pytest.approx(1000.0, abs=0.1)
    assert listener.kinds == ["output_audio_buffer.started", "output_audio_buffer.cleared"]
    fade = listener.playout.read_frame()
    assert fade is not None
    assert np.abs(fade[480:]).max() == 0  # 10 ms, then nothing
    assert listener.playout.read_frame() is None
    assert listener.playout.read_frame() is None
    assert listener.kinds == ["output_audio_buffer.started", "output_audio_buffer.cleared"]
    listener.playout.silence(reply)
    listener.playout.on_cleared(reply)
    assert listener.kinds.count("output_audio_buffer.cleared") == 1
    # It was only a cough: the rest comes again, from where the listener stopped hearing.
    listener.playout.play(reply, wave(4000), 24_000, 1000.0)
    listener.playout.finish(reply)
    listener.until_silent()
    listener.take()
    assert listener.played[-1] == pytest.approx(5000.0)
    assert listener.kinds[2:] == ["output_audio_buffer.started", "output_audio_buffer.stopped"]


def test_a_reply_that_is_made_too_slowly_is_one_reply() -> None:
    listener, reply = Listener(), Spoken()
    listener.playout.play(reply, wave(300), 24_000, 0.0)
    listener.take(30)
    assert listener.played[-1] == pytest.approx(300.0)
    listener.playout.play(reply, wave(300), 24_000, 300.0)
    listener.playout.finish(reply)
    listener.take(30)
    assert listener.played[-1] == pytest.approx(600.0)
    assert listener.kinds == ["output_audio_buffer.started", "output_audio_buffer.stopped"]


def test_nothing_of_an_old_reply_is_heard_in_a_new_one() -> None:
    listener, old, new = Listener(), Spoken(), Spoken(2, "resp_2", "item_2")
    listener.playout.play(old, np.full(48_000, 9000, np.int16), 24_000, 0.0)
    listener.take(3)
    listener.playout.play(new, np.full(2400, -9000, np.int16), 24_000, 0.0)
    listener.heard.clear()
    listener.playout.silence(old)
    listener.playout.finish(old)
    listener.until_silent()
    assert all(frame.max() < 5000 for frame in listener.heard if frame is not None)
    assert listener.played[-1] == pytest.approx(100.0)
    listener.playout.finish(new)
    listener.take()
    assert [e["response_id"] for e in listener.events if e["type"].endswith("stopped")] == ["resp_2"]


def test_silence_where_nothing_was_heard_says_nothing() -> None:
    listener, reply = Listener(), Spoken()
    listener.playout.silence(reply)
    listener.playout.finish(reply)
    listener.take(3)
    assert listener.kinds == []
    assert listener.played == []
    listener.playout.on_cleared(reply)
    assert listener.kinds == ["output_audio_buffer.cleared"]


def test_the_buffer_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    listener, reply = Listener(), Spoken()
    for minute in range(4):
        listener.playout.play(reply, np.zeros(60 * 24_000, np.int16), 24_000, minute * 60_000.0)
    assert listener.playout._waiting <= 180 * 48_000
    assert "too far ahead" in caplog.text
