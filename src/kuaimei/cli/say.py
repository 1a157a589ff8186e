"""``kuaimei say``: synthesize a text."""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from kuaimei.audio.encode import CONTENT_TYPES, encode
from kuaimei.audio.pcm import EMPTY
from kuaimei.cli import console
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.errors import AudioError
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings

__all__ = ["say"]


def say(
    text: Annotated[str, typer.Argument(help="Text to synthesize.")],
    voice: Annotated[
        str | None, typer.Option(help="Voice; see /api/voices of the server or `kuaimei models list`.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.5, max=2.0, help="Speaking rate; 1 is normal.")] = 1.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; the suffix determines the format.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the timings as JSON.")] = False,
) -> None:
    """Synthesize TEXT, write it to a file if asked, and print timings that exclude loading the models."""
    settings = console.settings_from(voice=voice)
    fmt = "wav" if output is None else output.suffix.lstrip(".").lower()
    if fmt not in CONTENT_TYPES:
        raise AudioError(f"{output}: unknown format; available: {', '.join(sorted(CONTENT_TYPES))}")
    figures = asyncio.run(_say(settings, text, speed, output, fmt))
    if as_json:
        console.print_json(figures)
    else:
        console.print_table(list(figures), [list(figures.values())])


async def _say(
    settings: Settings, text: str, speed: float, output: Path | None, fmt: str
) -> dict[str, float | int | None]:
    async with open_engine(settings, "tts", open_synthesizer) as synthesizer:
        started = time.perf_counter()
        first_audio_ms = None
        pieces = [EMPTY]
        req = TTSReq(
            text=text,
            voice_id=settings.voice,
            speed=speed,
            ticket=Ticket(session="say", priority=Priority.LIVE),
        )
        async with aclosing(synthesizer.stream(req)) as stream:  # type: ignore[type-var]
            async for pcm in stream:
                if first_audio_ms is None:
                    first_audio_ms = (time.perf_counter() - started) * 1000.0
                pieces.append(pcm)
        total_ms = (time.perf_counter() - started) * 1000.0
        speech = np.concatenate(pieces)
        if output is not None:
            output.write_bytes(await asyncio.to_thread(encode, speech, synthesizer.sample_rate, fmt))
        return {
            "characters": len(text),
            "audio_s": round(len(speech) / synthesizer.sample_rate, 3),
            "first_audio_ms": None if first_audio_ms is None else round(first_audio_ms, 1),
            "total_ms": round(total_ms, 1),
        }
