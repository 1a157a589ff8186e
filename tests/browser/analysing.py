"""How utterances were spoken, as the page sees it: answered in front of the server, to show every state."""

import json
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from playwright.async_api import BrowserContext, Route

from kuaimei.audio.encode import encode

__all__ = ["CLIP", "CONTOURS", "FEATURES", "Analysing", "analysis", "bare", "course", "scores"]

_RATE = 16_000
_FRAME_MS = 10.0
_SAID = ((0.25, 1.35), (1.95, 3.05), (3.4, 4.3))
"""Stretches of speech of the clip, seconds."""
_FRAMES = 460

FEATURES: dict[str, float] = {
    "duration_s": 4.05,
    "speech_s": 3.1,
    "snr_db": 31.0,
    "rate_syl_s": 5.4,
    "pause_ratio": 0.234,
    "pauses_per_min": 29.6,
    "pause_mean_s": 0.475,
    "voiced_fraction": 0.81,
    "fillers_per_min": 0.0,
    "f0_mean_hz": 186.0,
    "f0_sd_st": 3.4,
    "f0_range_st": 10.8,
    "f0_change_st_s": 21.5,
    "f0_final_st": -3.1,
    "tremor_st": 0.11,
    "jitter": 0.0087,
    "hnr_db": 17.4,
    "level_sd_db": 4.6,
    "level_range_db": 14.2,
}
"""Without shimmer: it could not be told."""

_WHY: dict[str, tuple[tuple[str, float, float], ...]] = {
    "confidence": (
        ("rate_syl_s", 1.1, 0.52),
        ("pause_ratio", 0.9, -0.41),
        ("f0_final_st", -0.8, 0.24),
        ("level_range_db", 0.4, 0.11),
        ("fillers_per_min", -0.3, 0.04),
    ),
    "stability": (
        ("tremor_st", -1.2, 0.83),
        ("jitter", -0.6, 0.22),
        ("hnr_db", -0.4, -0.09),
    ),
    "affability": (
        ("f0_range_st", 0.8, 0.36),
        ("f0_change_st_s", 0.5, 0.18),
        ("level_sd_db", -0.7, -0.15),
    ),
}


def _f0(t: float) -> float:
    for start, end in _SAID:
        if start <= t < end:
            part = (t - start) / (end - start)
            return 185.0 * 2 ** ((4.5 * math.sin(9.0 * t) + 3.0 - 6.0 * part) / 12)
    return 0.0


CONTOURS: dict[str, Any] = {
    "frame_ms": _FRAME_MS,
    "f0_hz": [round(_f0((n + 0.5) * _FRAME_MS / 1000), 1) for n in range(_FRAMES)],
    "pauses": [[1000 * end, 1000 * start] for (_, end), (start, _) in pairwise(_SAID)],
}


def _clip() -> bytes:
    per_frame = int(_RATE * _FRAME_MS / 1000)
    t = np.arange(_FRAMES * per_frame) / _RATE
    f0 = np.array(CONTOURS["f0_hz"]).repeat(per_frame)
    phase = 2 * np.pi * np.cumsum(f0) / _RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 9)) * (f0 > 0)
    syllables = 0.35 + 0.65 * np.abs(np.sin(2 * np.pi * 2.7 * t))
    noise = 0.004 * np.random.default_rng(3).standard_normal(len(t))
    return encode(((0.3 * voice * syllables + noise) * 20_000).astype(np.int16), _RATE, "flac")


CLIP = _clip()
"""A voice of `CONTOURS`."""


def scores(
    confidence: float = 0.62, stability: float = 0.74, affability: float = 0.55, *, usual: float | None = None
) -> dict[str, Any]:
    """Scores of an utterance with what they consist of.

    Args:
        usual: Of all three; None: unknown.
    """
    values = {"confidence": confidence, "stability": stability, "affability": affability}
    return {
        name: {
            "value": value,
            "bias": round(math.log(value / (1 - value)) - sum(amount for *_, amount in _WHY[name]), 6),
            "contributions": [
                {"feature": feature, "value": FEATURES[feature], "z": z, "amount": amount}
                for feature, z, amount in _WHY[name]
            ],
            "relative": usual
            and {"utterances": 12, "usual": usual, "difference": value - usual, "percentile": 70.0},
        }
        for name, value in values.items()
    }


def analysis(utterance: str, **changed: Any) -> dict[str, Any]:
    """A body of `GET /api/recordings/{utterance}/analysis`."""
    return {
        "object": "kuaimei.analysis",
        "utterance": utterance,
        "state": "scored",
        "reason": None,
        "why": None,
        "extractor": "own-1",
        "head": "2026-03",
        "scores": scores(usual=0.58),
        "features": FEATURES,
        "contours": CONTOURS,
        "analysed_at": "2026-03-01T12:00:00Z",
        **changed,
    }


def bare(utterance: str, state: str, reason: str | None = None, **changed: Any) -> dict[str, Any]:
    """One that is waited for, or has no scores."""
    none: dict[str, Any] = {"scores": None, "features": {}, "contours": None}
    return analysis(utterance, state=state, reason=reason, **{**none, **changed})


def course(utterances: int, usual: dict[str, float] | None, words: str = "第 {} 句") -> dict[str, Any]:
    """So many scored utterances of the user, one that is too short, and one that is waited for."""
    data = [
        {
            "utterance": f"utt_{n}",
            "speaker": "user",
            "transcript": words.format(n + 1),
            "state": "scored",
            "reason": None,
            "scores": scores(0.5 + 0.2 * math.sin(n), 0.7 + 0.06 * math.cos(n), 0.4 + 0.02 * n),
        }
        for n in range(utterances)
    ]
    none: dict[str, Any] = {"speaker": "user", "scores": None, "reason": None}
    short = {"utterance": "utt_short", "transcript": "嗯", "state": "unscored", "reason": "too_short"}
    late = {"utterance": "utt_new", "transcript": "還有", "state": "waiting"}
    return {"object": "list", "data": [*data, {**none, **short}, {**none, **late}], "usual": usual}


@dataclass
class Analysing:
    """Answers for what is analysed and rated; all else is the server's.

    Attributes:
        analyses: Bodies by utterance.
        courses: Bodies by session.
        to_rate: Utterances, in the order in which they are to be rated: id and words.
        rated: What came in: id, then what was sent.
        asked: Paths of all requests, in order.
    """

    analyses: dict[str, dict[str, Any]] = field(default_factory=dict)
    courses: dict[str, dict[str, Any]] = field(default_factory=dict)
    to_rate: dict[str, str] = field(default_factory=dict)
    rated: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def install(self, context: BrowserContext) -> None:
        """Stand in front of the server for every page of ``context``."""
        await context.route("**/api/recordings/*/analysis", self._one)
        await context.route("**/api/sessions/*/analysis**", self._course)
        await context.route("**/api/labelling/**", self._label)
        await context.route("**/api/recordings/utt_rate_*/audio", self._sound)

    async def _one(self, route: Route) -> None:
        utterance = urlsplit(route.request.url).path.split("/")[-2]
        self.asked.append(utterance)
        await route.fulfill(json=self.analyses.get(utterance) or bare(utterance, "waiting"))

    async def _course(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if "format=csv" in url.query:
            await route.fulfill(body="utterance,confidence\r\nutt_1,0.62\r\n", content_type="text/csv")
        else:
            await route.fulfill(json=self.courses[url.path.split("/")[-2]])

    async def _sound(self, route: Route) -> None:
        await route.fulfill(body=CLIP, content_type="audio/flac")

    async def _label(self, route: Route) -> None:
        request = route.request
        url = urlsplit(request.url)
        what = url.path.rsplit("/", 1)[1]
        self.asked.append(f"{request.method} {what}?{url.query}")
        if request.method == "POST":
            self.rated[what] = json.loads(request.post_data or "{}")
            await route.fulfill(json={})
        elif what == "progress":
            await route.fulfill(json={"rated": len(self.rated), "total": len(self.to_rate)})
        elif what == "labels.csv":
            rows = [f"{key},{','.join(str(v) for v in given.values())}" for key, given in self.rated.items()]
            head = "utterance,confidence,stability,affability,rater"
            await route.fulfill(body="\r\n".join([head, *rows]), content_type="text/csv")
        else:
            await self._next(route, parse_qs(url.query))

    async def _next(self, route: Route, query: dict[str, list[str]]) -> None:
        passed = {*self.rated, *query.get("skip", [])}
        left = [key for key in self.to_rate if key not in passed]
        if not left:
            error = {"message": "there is nothing left to rate", "code": "nothing_to_rate"}
            await route.fulfill(status=404, json={"error": error})
            return
        body = {
            "id": left[0],
            "transcript": self.to_rate[left[0]],
            "audio": f"/api/recordings/{left[0]}/audio",
        }
        await route.fulfill(json=body)
