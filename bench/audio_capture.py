"""Capture of a page's microphone and loudspeaker on one clock, and access to the stored recordings."""

import asyncio
import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import Pcm

__all__ = [
    "RATE",
    "SCRIPT",
    "Recorded",
    "correlation",
    "kept",
    "kept_audio",
    "kept_reply",
    "kept_turns",
    "recorded",
]

RATE = 24_000
"""Sample rate of the captures in Hz."""

_TRIES = 40

SCRIPT = Path(__file__).with_name("audio_capture.js").read_text(encoding="utf-8")
"""Script to run before the page's own; its context must allow scripts from blobs (``bypass_csp``)."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Both sides, sample by sample on the same clock, at `RATE`."""

    microphone: Pcm
    loudspeaker: Pcm


async def recorded(page: Any) -> Recorded:
    """Return everything captured on a Playwright page since its microphone was opened."""
    both = await page.evaluate("window.recordedByTaps()")
    return Recorded(*(np.frombuffer(base64.b64decode(one), "<i2") for one in both))


async def kept(page: Any, replies: int = 1) -> list[dict[str, Any]]:
    """Return the stored utterances of the page's conversation, once that many replies have their audio.

    After 20 s it returns what there is: a failed reply is never stored.
    """
    found: list[dict[str, Any]] = []
    for _ in range(_TRIES):
        answer = await page.request.get(f"{_origin(page)}/api/sessions/{_session(page)}/utterances")
        found = (await answer.json()).get("data", [])
        if sum(one["speaker"] == "assistant" and bool(one["bytes"]) for one in found) >= replies:
            return found
        await asyncio.sleep(0.5)
    return found


async def kept_turns(page: Any) -> list[dict[str, Any]]:
    """Return timings and failures of each turn of the page's conversation, in order, as stored."""
    answer = await page.request.get(f"{_origin(page)}/api/sessions/{_session(page)}/turns")
    turns: list[dict[str, Any]] = (await answer.json()).get("data", [])
    return turns


async def kept_audio(page: Any, utterance: str) -> Pcm:
    """Return the recording of an utterance, at `RATE`."""
    audio = await page.request.get(f"{_origin(page)}/api/recordings/{utterance}/audio")
    return await decode(await audio.body(), RATE)


async def kept_reply(page: Any) -> Pcm:
    """Return the latest stored reply of the page's conversation, at `RATE`."""
    replies = [one for one in await kept(page) if one["speaker"] == "assistant"]
    return await kept_audio(page, replies[-1]["id"])


def _session(page: Any) -> str:
    return next(iter(re.findall(r"sess_\w+", page.url)), "")


def _origin(page: Any) -> str:
    return "/".join(page.url.split("/")[:3])


def correlation(heard: Pcm, sent: Pcm, *, window_s: float = 0.2) -> float:
    """Return how well ``heard`` matches ``sent``: the median of the windows' best normalized correlations.

    A player stretches and shrinks audio a little to keep up with the network, and on a busy machine it
    underruns between two clauses, so that whole recordings drift apart though every piece is the same: each
    window may match anywhere. Both at `RATE`; windows in which ``sent`` is silent are left out. Windows of
    0.2 s of other speech correlate by 0.4 to 0.6.

    Args:
        heard: Int16 samples that were played.
        sent: Int16 samples that were sent.
        window_s: Length of a window in seconds.
    """
    size = int(window_s * RATE)
    if len(heard) <= size:
        return 0.0
    there = heard.astype(np.float64)
    pieces = (sent[start : start + size].astype(np.float64) for start in range(0, len(sent) - size, size))
    found = [float(_matches(there, piece).max()) for piece in pieces if np.sqrt(np.mean(piece**2)) >= 200]
    return float(np.median(found)) if found else 0.0


def _matches(area: NDArray[np.float64], piece: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normalized correlation of ``piece`` (m,) with ``area`` (n,) by offset, ``(n - m + 1,)``."""
    size = 1 << (len(area) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(area, size) * np.conj(np.fft.rfft(piece, size)), size)
    energy = np.cumsum(np.concatenate([[0.0], area**2]))
    places = len(area) - len(piece) + 1
    loudness = np.sqrt(np.maximum(energy[len(piece) :] - energy[:places], 1.0) * np.sum(piece**2))
    matches: NDArray[np.float64] = product[:places] / loudness
    return matches
