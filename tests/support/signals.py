"""Speech made of buzzes, and what can go wrong with it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, from_float
from kuaimei.voices.enrolment.speech_regions import RATE, SpeechRegions, find_speech

__all__ = ["LoudVad", "chords", "echoing", "hiss", "listened", "spoken"]

Signal = NDArray[np.float64]
_FADE = int(0.06 * RATE)


class LoudVad:
    """Voiced is what is loud."""

    frame_samples = 512

    def __init__(self, above: float = 300.0) -> None:
        self._above = above

    def probability(self, frame: Pcm) -> float:
        return 0.9 if float(np.abs(frame.astype(np.float32)).mean()) > self._above else 0.1

    def reset(self) -> None:
        pass


def spoken(*lengths_s: float, hz: float = 180.0, pause_s: float = 0.6, peak: float = 0.3) -> Signal:
    """Buzzes of those lengths with pauses around; they swell and die away as syllables do."""
    parts: list[Signal] = [np.zeros(int(pause_s * RATE))]
    for length_s in lengths_s:
        time = np.arange(int(length_s * RATE)) / RATE
        phase = 2 * np.pi * hz * time + 0.6 * np.sin(2 * np.pi * 2.5 * time)
        buzz = sum((np.sin(k * phase + k * k) / k for k in range(1, 16)), np.zeros(len(time)))
        buzz *= 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time) * np.sin(2 * np.pi * 0.7 * time)
        ramp = np.sin(np.linspace(0, np.pi / 2, _FADE)) ** 2
        buzz[:_FADE] *= ramp
        buzz[-_FADE:] *= ramp[::-1]
        parts += [buzz, np.zeros(int(pause_s * RATE))]
    whole = np.concatenate(parts)
    level: Signal = peak * whole / np.abs(whole).max()
    return level


def hiss(signal: Signal, snr_db: float, seed: int = 3) -> Signal:
    """White noise so far below what is spoken."""
    power = np.mean(signal[np.abs(signal) > 0] ** 2)
    noise = np.random.default_rng(seed).standard_normal(len(signal))
    noisy: Signal = signal + noise * np.sqrt(power / 10 ** (snr_db / 10))
    return noisy


def echoing(signal: Signal, seconds: float, seed: int = 4) -> Signal:
    """In a room that falls by 60 dB in so many seconds: noise that decays exponentially (Moorer 1979)."""
    time = np.arange(int(seconds * RATE)) / RATE
    answer = np.random.default_rng(seed).standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    answer *= 0.5 / np.sqrt(np.sum(answer**2))
    answer[0] = 0.7
    size = 1 << (len(signal) + len(answer)).bit_length()
    heard = np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(answer, size))[: len(signal)]
    level: Signal = heard * np.abs(signal).max() / np.abs(heard).max()
    return level


def chords(signal: Signal, level: float) -> Signal:
    """Behind it, three chords a second long each, of that amplitude."""
    time = np.arange(len(signal)) / RATE
    music = np.zeros(len(signal))
    for number, notes in enumerate(((262, 330, 392), (220, 277, 330), (294, 370, 440))):
        playing = time.astype(int) % 3 == number
        for note in notes:
            music += playing * sum(np.sin(2 * np.pi * note * k * time) / k for k in (1, 2, 3))
    mixed: Signal = signal + level * music / np.abs(music).max()
    return mixed


def listened(signal: Signal, **more: Any) -> SpeechRegions:
    """What the checks are given."""
    return find_speech(from_float(signal), LoudVad(**more))
