"""The reference as training target: its frames with their phonemes, pitch and loudness."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from kuaimei.training.align import align, cepstra
from kuaimei.training.kokoro import FRAME, RATE, Prosody, TorchKokoro
from kuaimei.training.losses import TargetSpeech
from kuaimei.training.pitch import track_pitch
from kuaimei.training.spectral_features import MelBank, mel_bank

__all__ = ["AlignedTarget", "align_target"]

_HOP: Final = FRAME // 2
_ROUNDS: Final = 2
"""Number of alignments; each renders in the rhythm that the previous one found."""
_SPOKEN: Final = 6.0
"""Frames less than this below the loudest (in log power) determine the level of speech."""


@dataclass(frozen=True, slots=True)
class AlignedTarget:
    """Recording aligned frame by frame.

    Attributes:
        spoken: Kokoro's hidden phonemes, shape ``(frames, 512)``.
        pitch: Hz, 0 where unvoiced, shape ``(2 * frames,)``.
        loudness: On Kokoro's scale, shape ``(2 * frames,)``.
        samples: Scaled to Kokoro's loudness, shape ``(600 * frames,)``.
        durations: Frames of each symbol, pads included, shape ``(symbols,)``.
    """

    spoken: torch.Tensor
    pitch: torch.Tensor
    loudness: torch.Tensor
    samples: torch.Tensor
    durations: NDArray[np.int64]

    @property
    def frames(self) -> int:
        """Number of frames of 25 ms."""
        return int(self.durations.sum())


def align_target(
    kokoro: TorchKokoro, reference: TargetSpeech, tokens: Sequence[int], style: NDArray[np.float32]
) -> AlignedTarget:
    """Align ``reference`` with ``tokens``.

    Args:
        kokoro: Network that renders the same words.
        reference: The recording.
        tokens: Kokoro's token ids of what is said in it.
        style: Style of the rendering, shape ``(256,)``; the closer, the better.
    """
    bank = mel_bank(RATE, 1024, _HOP, 60, reference.bandwidth_hz, kokoro.device)
    frames = len(reference.samples) // FRAME
    recorded = torch.from_numpy(reference.samples[: frames * FRAME]).to(kokoro.device)
    learned = torch.from_numpy(style).to(kokoro.device)
    text = kokoro.encode_text(tokens)
    with torch.no_grad():
        said = kokoro.prosody(text, learned[128:])
        durations = said.counts
        for _ in range(_ROUNDS):
            said = kokoro.prosody(text, learned[128:], durations)
            rendered = kokoro.decode(text, said, learned[:128])
            found = align(durations.cpu().numpy(), _seen(bank, rendered), _seen(bank, recorded), 2, frames)
            durations = torch.from_numpy(found).to(kokoro.device)
        slope, offset, gain = _scales(bank, said, rendered, recorded)
        recorded = recorded * gain
        loudness = slope * _log_power(bank, recorded) + offset
    pitch = track_pitch(reference.samples, RATE, _HOP / RATE)[: 2 * frames]
    return AlignedTarget(
        spoken=torch.repeat_interleave(text.spoken[0].T, durations, 0),
        pitch=torch.from_numpy(pitch).to(kokoro.device),
        loudness=loudness[: 2 * frames],
        samples=recorded,
        durations=found,
    )


def _seen(bank: MelBank, samples: torch.Tensor) -> NDArray[np.float64]:
    power: NDArray[np.float32] = bank.power(samples).cpu().numpy()
    return cepstra(power)


def _scales(
    bank: MelBank, said: Prosody, rendered: torch.Tensor, recorded: torch.Tensor
) -> tuple[float, float, float]:
    """Return slope and offset from log power to Kokoro's loudness, and the gain of the recording.

    Fitted to Kokoro's own rendering, of which both are known; the gain makes the recording as loud as that.
    """
    power = _log_power(bank, rendered)
    count = min(len(power), len(said.loudness))
    x, y = power[:count].cpu().numpy(), said.loudness[:count].cpu().numpy()
    slope, offset = np.polyfit(x, y, 1)
    gain = torch.exp((_spoken_level(power) - _spoken_level(_log_power(bank, recorded))) / 2.0)
    return float(slope), float(offset), float(gain)


def _log_power(bank: MelBank, samples: torch.Tensor) -> torch.Tensor:
    return torch.log(bank.power(samples).sum(0) + 1e-8)


def _spoken_level(power: torch.Tensor) -> torch.Tensor:
    return power[power > power.max() - _SPOKEN].mean()
