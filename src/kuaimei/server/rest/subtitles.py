"""Transcripts as SRT, WebVTT and ``verbose_json``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kuaimei.engines.types import Language

__all__ = ["Segment", "srt", "verbose_json", "vtt"]

_NAMES: dict[Language, str] = {"zh": "chinese", "en": "english"}


@dataclass(frozen=True, slots=True)
class Segment:
    """Transcribed speech between two times of the recording, in seconds."""

    start_s: float
    end_s: float
    text: str
    language: Language | None = None
    confidence: float | None = None


def srt(segments: Sequence[Segment]) -> str:
    """Return the segments as SubRip (SRT) subtitles."""
    return "".join(
        f"{n}\n{_clock(s.start_s, ',')} --> {_clock(s.end_s, ',')}\n{s.text}\n\n"
        for n, s in enumerate(segments, 1)
    )


def vtt(segments: Sequence[Segment]) -> str:
    """Return the segments as WebVTT subtitles."""
    cues = "".join(f"{_clock(s.start_s, '.')} --> {_clock(s.end_s, '.')}\n{s.text}\n\n" for s in segments)
    return f"WEBVTT\n\n{cues}"


def verbose_json(
    text: str, segments: Sequence[Segment], duration_s: float, language: Language | None
) -> dict[str, Any]:
    """Return OpenAI's ``verbose_json``; fields specific to Whisper (``seek``, ``tokens`` …) are placeholders.

    Args:
        text: The whole transcript.
        segments: Its segments.
        duration_s: Length of the recording in seconds.
        language: Main language; None: unknown.
    """
    return {
        "task": "transcribe",
        "language": _NAMES.get(language, "unknown") if language else "unknown",
        "duration": round(duration_s, 3),
        "text": text,
        "segments": [
            {
                "id": n,
                "seek": 0,
                "start": round(s.start_s, 3),
                "end": round(s.end_s, 3),
                "text": s.text,
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": round(math.log(max(s.confidence, 1e-6)), 4) if s.confidence else 0.0,
                "compression_ratio": 1.0,
                "no_speech_prob": 0.0,
            }
            for n, s in enumerate(segments)
        ],
        "usage": {"type": "duration", "seconds": math.ceil(duration_s)},
    }


def _clock(seconds: float, comma: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{comma}{ms % 1000:03}"
