"""``kuaimei talk``: a spoken conversation using recordings or the microphone."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from kuaimei.cli import console
from kuaimei.evaluation.runs.replay import TurnReport, replay

__all__ = ["talk"]

_STAGES = ("endpoint", "transcript", "first_token", "first_clause", "first_audio", "last_audio")


def talk(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Recordings of speech; without any, the microphone is used.", exists=True),
    ] = None,
    llm: Annotated[
        str | None, typer.Option(help="Catalogue name, path, or URL of an OpenAI-compatible server.")
    ] = None,
    voice: Annotated[str | None, typer.Option(help="Voice of the replies.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the replies' audio and turns.json.")] = None,
    keep: Annotated[bool, typer.Option(help="Store the conversation, as the server does.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the turns as JSON.")] = False,
) -> None:
    """Hold a conversation as the server would; recordings are fed in real time, as if spoken now.

    Milliseconds are counted from the last voiced frame of each utterance.
    """
    settings = console.settings_from(llm=llm, voice=voice)
    if not files:
        from kuaimei.cli.microphone import converse

        asyncio.run(converse(settings, keep=keep))
        return

    def told(turn: TurnReport) -> None:
        if not as_json:
            first = "–" if turn.first_audio_ms is None else f"{turn.first_audio_ms:.0f} ms"
            console.note(
                f"{turn.file}\n  你 {turn.transcript}\n  快 {turn.reply}\n  first audio after {first}"
            )

    turns = asyncio.run(replay(settings, files, out=out, keep=keep, told=told, progress=console.note))
    result = {"turns": [turn.public() for turn in turns]}
    if out is not None:
        (out / "turns.json").write_text(json.dumps(result, ensure_ascii=False, indent=2), encoding="utf-8")
    if as_json:
        console.print_json(result)
        return
    console.print_table(
        ["file", *(stage.replace("_", " ") for stage in _STAGES)],
        [[t.file, *(_ms(getattr(t, f"{stage}_ms")) for stage in _STAGES)] for t in turns],
        title="milliseconds from the last voiced frame",
    )


def _ms(value: float | None) -> int | None:
    return None if value is None else round(value)
