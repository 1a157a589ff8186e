"""``kuaimei voices``: add, list, hear, train, rename and delete cloned voices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from kuaimei.audio.encode import CONTENT_TYPES, encode
from kuaimei.cli import console
from kuaimei.errors import AudioError, Conflict, NotFound
from kuaimei.runtime import open_voice_library
from kuaimei.settings import Settings
from kuaimei.store import Store, open_store
from kuaimei.voices.enrolment.consent import STATEMENTS
from kuaimei.voices.enrolment.pipeline import ReferenceRefused
from kuaimei.voices.library import VoiceLibrary
from kuaimei.voices.state import TRAINING_STATES, voice_from_row
from kuaimei.voices.training.prompts import EVAL_PROMPTS
from kuaimei.voices.training.similarity import synthesize_prompts
from kuaimei.voices.types import Check, Consent, Voice

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Cloned voices: add, list, hear, train, rename, delete.")

_OWNER = "local"
_LOOK_S = 0.5

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Named = Annotated[str, typer.Argument(metavar="VOICE", help="Id of the voice, or its name if unique.")]
Step = Annotated[
    Literal["style", "decoder"] | None,
    typer.Option(help="Last training step; default: as configured."),
]


@app.command()
def add(
    file: Annotated[
        Path, typer.Argument(help="A recording in any common format, ideally 10 to 15 s of speech.")
    ],
    name: Annotated[str, typer.Option(help="Name of the voice.")],
    speaker: Annotated[str, typer.Option(help="Name of the speaker; default: the name of the voice.")] = "",
    consent: Annotated[
        bool, typer.Option("--consent", help="Confirm that the speaker has agreed; otherwise you are asked.")
    ] = False,
    transcript: Annotated[
        str, typer.Option(help="Transcript of the recording; recognised if not given.")
    ] = "",
    language: Annotated[
        Literal["zh", "en"] | None, typer.Option(help="Language spoken; detected if not given.")
    ] = None,
    learn: Annotated[
        bool, typer.Option("--wait", help="Wait until the voice is trained, not only until it is ready.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Clone the voice in FILE."""
    if not file.is_file():
        raise AudioError(f"no such file: {file}")
    if not consent:
        console.note(STATEMENTS["zh"])
        console.note(STATEMENTS["en"])
        if not typer.confirm("同意？ Agreed?", err=True):
            raise Conflict("a voice is cloned only with the speaker's consent; nothing was stored")
    given = Consent(speaker=speaker or name, statement=STATEMENTS[language or "zh"], at=datetime.now(UTC))

    async def work() -> Voice:
        async with open_voice_library(console.settings_from(), learning=learn) as library:
            try:
                voice = await library.add(
                    file, name=name, consent=given, owner=_OWNER, transcript=transcript, language=language
                )
            except ReferenceRefused as error:
                _note_checks(error.checks)
                raise
            _note_checks(voice.checks)
            return await _watch_training(library, voice, learned=learn)

    _tell([asyncio.run(work())], as_json)


@app.command("list")
def list_voices(as_json: AsJson = False) -> None:
    """List cloned voices, newest first."""

    async def work() -> list[Voice]:
        async with _kept() as (store, settings):
            return await _all(store, settings)

    _tell(asyncio.run(work()), as_json)


@app.command()
def hear(
    voice: Named,
    text: Annotated[str, typer.Option(help="Text to synthesize.")] = "",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write; the suffix determines the format.")
    ] = Path("voice.wav"),
    as_json: AsJson = False,
) -> None:
    """Synthesize a text in the voice and write it to a file."""
    fmt = output.suffix.lstrip(".").lower()
    if fmt not in CONTENT_TYPES:
        raise AudioError(f"{output}: unknown format; available: {', '.join(sorted(CONTENT_TYPES))}")

    async def work() -> dict[str, Any]:
        async with open_voice_library(console.settings_from()) as library:
            found = _one(list(await library.voices(_OWNER)), voice)
            if found.state != "ready":
                raise Conflict(f"{found.name} is {found.state}: {found.error or 'it cannot be used yet'}")
            words = text or EVAL_PROMPTS[found.language or "zh"][0]
            pcm, rate = await synthesize_prompts(library.context, found.id, words)
            output.write_bytes(await asyncio.to_thread(encode, pcm, rate, fmt))
            return {"voice": found.id, "audio_s": round(len(pcm) / rate, 3), "file": str(output)}

    told = asyncio.run(work())
    if as_json:
        console.print_json(told)
    else:
        console.print_table(list(told), [list(told.values())])


@app.command()
def learn(voice: Named, step: Step = None, as_json: AsJson = False) -> None:
    """Train the voice and wait until done; after Ctrl+C the server continues the training later."""

    async def work() -> Voice:
        async with open_voice_library(console.settings_from(), learning=True) as library:
            found = _one(list(await library.voices(_OWNER)), voice)
            return await _watch_training(library, await library.train(found.id, _OWNER, step), learned=True)

    _tell([asyncio.run(work())], as_json)


@app.command()
def rename(
    voice: Named, name: Annotated[str, typer.Argument(help="The new name.")], as_json: AsJson = False
) -> None:
    """Rename a voice."""

    async def work() -> Voice:
        async with _kept() as (store, settings):
            found = _one(await _all(store, settings), voice)
            return _voice(await store.voices.change(found.id, name=name), settings)

    _tell([asyncio.run(work())], as_json)


@app.command()
def delete(
    voice: Named, yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False
) -> None:
    """Delete a voice and everything derived from it; replies spoken in it keep only their text."""

    async def work() -> None:
        async with _kept() as (store, settings):
            found = _one(await _all(store, settings), voice)
            if not yes and not typer.confirm(
                f"Permanently delete {found.name} ({found.id}) and the audio of all replies spoken in it?",
                err=True,
            ):
                raise Conflict("nothing was deleted")
            done = await store.delete_voice(found.id)
            await store.maintenance.vacuum()
            if not done:
                console.note(
                    f"{found.name} ({found.id}) is deleted; remaining data is deleted at the next start"
                )
                return
            console.note(f"deleted: {found.name} ({found.id})")

    asyncio.run(work())


@asynccontextmanager
async def _kept() -> AsyncIterator[tuple[Store, Settings]]:
    """Open the store and nothing else: most commands need no engine."""
    settings = console.settings_from()
    async with open_store(settings) as store:
        yield store, settings


async def _all(store: Store, settings: Settings) -> list[Voice]:
    return [_voice(row, settings) for row in await store.voices.all(_OWNER)]


def _voice(row: Any, settings: Settings) -> Voice:
    return voice_from_row(row, settings.voices.cloned_similarity)


def _one(voices: list[Voice], named: str) -> Voice:
    found = [voice for voice in voices if voice.id == named] or [v for v in voices if v.name == named]
    if not found:
        raise NotFound(f"unknown voice {named!r}; see: kuaimei voices list")
    if len(found) > 1:
        raise Conflict(f"{len(found)} voices are named {named!r}: use an id, see: kuaimei voices list")
    return found[0]


async def _watch_training(library: VoiceLibrary, voice: Voice, *, learned: bool) -> Voice:
    """Wait until the voice is ready or trained, printing the progress; return the voice."""
    told = ""
    while voice.state == "preparing" or (
        learned and voice.state == "ready" and voice.learning.state in TRAINING_STATES
    ):
        line = f"{voice.state} {voice.stage}".strip()
        if voice.state == "ready":
            line = f"{voice.learning.step}: {voice.learning.state} {voice.learning.progress:.0%}"
            if voice.learning.reason is not None:
                line = f"{voice.learning.step}: {voice.learning.reason}"
            if voice.learning.similarity is not None:
                line += f", similarity {voice.learning.similarity:.2f}"
        if line != told:
            console.note(told := line)
        await asyncio.sleep(_LOOK_S)
        voice = await library.voice(voice.id, _OWNER)
    return voice


def _note_checks(checks: tuple[Check, ...]) -> None:
    for check in checks:
        if check.verdict != "ok":
            console.note(f"{check.verdict}: {check.check}: {check.advice['zh']} {check.advice['en']}")


def _tell(voices: list[Voice], as_json: bool) -> None:
    if as_json:
        console.print_json([voice.model_dump(mode="json") for voice in voices])
        return
    columns = ["id", "name", "language", "state", "label", "training", "similarity", "added"]
    rows: list[list[object]] = [
        [
            voice.id,
            voice.name,
            voice.language,
            voice.error or voice.state,
            voice.label,
            f"{voice.learning.step} {voice.learning.state}",
            voice.similarity,
            f"{voice.created_at:%Y-%m-%d %H:%M}",
        ]
        for voice in voices
    ]
    console.print_table(columns, rows)
