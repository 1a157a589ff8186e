"""``kuaimei hear``: transcribe a recording."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE
from kuaimei.cli import console
from kuaimei.engines.asr import open_recognizer
from kuaimei.engines.types import Priority, STTReq, Ticket, as_language
from kuaimei.errors import SettingsError
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings

__all__ = ["hear"]


def hear(
    file: Annotated[
        Path, typer.Argument(help="A recording in any common format.", exists=True, dir_okay=False)
    ],
    language: Annotated[str, typer.Option(help="Language spoken: zh, en or auto.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the text and timings as JSON.")] = False,
) -> None:
    """Transcribe FILE; the reported time excludes loading the model."""
    if language not in {"zh", "en", "auto"}:
        raise SettingsError(f"--language {language}: must be zh, en or auto")
    result = asyncio.run(_hear(console.settings_from(), file, language))
    if as_json:
        console.print_json(result)
    else:
        print(result["text"])
        console.note(f"{result['audio_s']} s of audio in {result['total_ms']} ms")


async def _hear(settings: Settings, file: Path, language: str) -> dict[str, object]:
    pcm = await decode(file, ASR_RATE)
    async with open_engine(settings, "asr", open_recognizer) as recognizer:
        started = time.perf_counter()
        req = STTReq(
            language=as_language(language),
            hotwords=settings.dialogue.hotwords,
            ticket=Ticket(session="hear", priority=Priority.LIVE),
        )
        chunk = await recognizer.transcribe(pcm, req)
        total_ms = (time.perf_counter() - started) * 1000.0
    return {"text": chunk.text, "audio_s": round(len(pcm) / ASR_RATE, 3), "total_ms": round(total_ms, 1)}
