"""What goes into a page's microphone and what comes out of its loudspeaker, recorded on one clock."""

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
"""Of what is recorded, in Hz."""

_TRIES = 40

SCRIPT = Path(__file__).with_name("audio_capture.js").read_text(encoding="utf-8")
"""To be run before the page's own; its context must let scripts from blobs in (``bypass_csp``)."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Both sides, sample by sample on the same clock, at `RATE`."""

    microphone: Pcm
    loudspeaker: Pcm


async def recorded(page: Any) -> Recorded:
    """All that the taps of a Playwright page have heard since its microphone was opened."""
    both = await page.evaluate("window.recordedByTaps()")
    return Recorded(*(np.frombuffer(base64.b64decode(one), "<i2") for one in both))


async def kept(page: Any, replies: int = 1) -> list[dict[str, Any]]:
    """The utterances of the page's conversation as the server keeps them, once so many replies are safe.

    Those that are safe after 20 s, where there are never so many: a reply that failed is not kept.
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
    """Timings and failures of each turn of the page's conversation, in order, as the server keeps them."""
    answer = await page.request.get(f"{_origin(page)}/api/sessions/{_session(page)}/turns")
    turns: list[dict[str, Any]] = (await answer.json()).get("data", [])
    return turns


async def kept_audio(page: Any, utterance: str) -> Pcm:
    """The recording of an utterance, at `RATE`."""
    audio = await page.request.get(f"{_origin(page)}/api/recordings/{utterance}/audio")
    return await decode(await audio.body(), RATE)


async def kept_reply(page: Any) -> Pcm:
    """The latest reply of the page's conversation as the server keeps it, at `RATE`."""
    replies = [one for one in await kept(page) if one["speaker"] == "assistant"]
    return await kept_audio(page, replies[-1]["id"])


def _session(page: Any) -> str:
    return next(iter(re.findall(r"sess_\w+", page.url)), "")


def _origin(page: Any) -> str:
    return "/".join(page.url.split("/")[:3])


def correlation(heard: Pcm, sent: Pcm, *, window_s: float = 0.2) -> float:
    """How well ``heard`` is ``sent``: the median over windows of the best normalised correlation.

    A player stretches and shrinks sound a little to keep step with the network, and on a busy machine it
    runs dry between two clauses, so that whole recordings drift apart though every piece is the same: each
    window may lie anywhere. Both at `RATE`; windows in which ``sent`` is silent are left out. Windows of
    0.2 s of other speech find something alike by 0.4 to 0.6.
    """
    size = int(window_s * RATE)
    if len(heard) <= size:
        return 0.0
    there = heard.astype(np.float64)
    pieces = (sent[start : start + size].astype(np.float64) for start in range(0, len(sent) - size, size))
    found = [float(_matches(there, piece).max()) for piece in pieces if np.sqrt(np.mean(piece**2)) >= 200]
    return float(np.median(found)) if found else 0.0


def _matches(area: NDArray[np.float64], piece: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalised correlation of ``piece`` (m,) with every place of ``area`` (n,): shape ``(n - m + 1,)``."""
    size = 1 << (len(area) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(area, size) * np.conj(np.fft.rfft(piece, size)), size)
    energy = np.cumsum(np.concatenate([[0.0], area**2]))
    places = len(area) - len(piece) + 1
    loudness = np.sqrt(np.maximum(energy[len(piece) :] - energy[:places], 1.0) * np.sum(piece**2))
    matches: NDArray[np.float64] = product[:places] / loudness
    return matches
