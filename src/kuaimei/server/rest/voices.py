"""``/api/voices``: list and preview voices; add, change, train and delete cloned ones."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import quote

from fastapi import APIRouter, Depends, File, Form, Header, Request, UploadFile
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from kuaimei.errors import NotFound
from kuaimei.http.client_disconnect import attended
from kuaimei.http.errors import ApiError, error_body
from kuaimei.http.limits import ConcurrencyLimiter
from kuaimei.server.allowed_voices import stock_voices
from kuaimei.server.rest.dependencies import DELETING, Owner, RuntimeDep, deleted
from kuaimei.server.rest.recordings import byte_range
from kuaimei.server.rest.threaded_response import in_json
from kuaimei.server.voice_previews import VoicePreviews, language_of
from kuaimei.text.wellformed import WellFormedText
from kuaimei.voices.enrolment.consent import STATEMENTS
from kuaimei.voices.enrolment.pipeline import ReferenceRefused
from kuaimei.voices.enrolment.transcript_check import LIMIT as TRANSCRIPT_LIMIT
from kuaimei.voices.library import VoiceLibrary
from kuaimei.voices.training.prompts import ENROLMENT_SCRIPT
from kuaimei.voices.types import Consent, Voice

__all__ = ["PATH", "cloned_body", "router", "voice_bodies"]

PATH = "/api/voices"
router = APIRouter(prefix=PATH)

NAME_LIMIT = 80
"""Maximum length of a voice's name, in characters."""
_CONSENT_LIMIT = 2000


def voice_bodies(voices: Sequence[str]) -> list[dict[str, Any]]:
    """Return the JSON bodies of stock voices; ``language`` is guessed from the name, or null."""
    return [
        {
            "object": "kuaimei.voice",
            "id": voice,
            "name": voice,
            "kind": "stock",
            "language": language_of(voice) or None,
            "shared": True,
            "mine": False,
            "sample": f"{PATH}/{quote(voice, safe='')}/sample",
        }
        for voice in voices
    ]


def cloned_body(voice: Voice, person: str) -> dict[str, Any]:
    """Return the JSON body of a cloned voice.

    For a voice shared by another person, everything about its speaker and their recording is left out.

    Args:
        voice: A voice that the person owns or that is shared.
        person: Id of the calling person.
    """
    told = voice.model_dump(mode="json", exclude={"owner", "similarity"})
    mine = voice.owner == person
    if not mine:
        told |= {"consent": None, "transcript": None, "checks": [], "pitch": None, "error": None}
    return {
        "object": "kuaimei.voice",
        "kind": "cloned",
        **told,
        "mine": mine,
        "sample": f"{PATH}/{voice.id}/sample",
        "reference": f"{PATH}/{voice.id}/reference" if mine else None,
    }


def _library(runtime: RuntimeDep) -> VoiceLibrary:
    if runtime.voices is None:
        raise ApiError("storing is disabled: KUAIMEI_STORE__KEEP is off", status=404, code="not_kept")
    return runtime.voices


Library: TypeAlias = Annotated[VoiceLibrary, Depends(_library)]


@router.get("", response_model=None)
async def list_voices(runtime: RuntimeDep, owner: Owner) -> Response:
    """List all voices: stock voices, the synthesizer's default first, then cloned voices, newest first.

    Cloned voices are the caller's own (``mine``) and those that others share with everyone.
    """
    stock = stock_voices(runtime)
    cloned = () if runtime.voices is None else await runtime.voices.voices(owner)

    def body() -> dict[str, Any]:
        return {
            "object": "list",
            "data": [*voice_bodies(stock), *(cloned_body(voice, owner) for voice in cloned)],
        }

    return await in_json(body)


@router.get("/texts")
async def get_texts() -> dict[str, Any]:
    """Return the consent statement and the text to read aloud when adding a voice, in each language."""
    return {"object": "kuaimei.voice.texts", "consent": STATEMENTS, "read_aloud": ENROLMENT_SCRIPT}


@router.get("/learning")
async def get_learning(library: Library) -> dict[str, Any]:
    """Return the state of the training environment, which the server installs in the background."""
    state = library.context.environment.state
    return {
        "object": "kuaimei.learning_environment",
        "state": state.state,
        "progress": state.progress,
        "detail": state.detail,
        "eta_s": state.eta_s,
    }


@router.post("", status_code=201)
async def add_voice(
    request: Request,
    library: Library,
    owner: Owner,
    file: Annotated[UploadFile, File()],
    name: Annotated[WellFormedText, Form(min_length=1, max_length=NAME_LIMIT)],
    consent_speaker: Annotated[WellFormedText, Form(min_length=1, max_length=200)],
    consent_statement: Annotated[WellFormedText, Form(min_length=1, max_length=_CONSENT_LIMIT)],
    transcript: Annotated[WellFormedText, Form(max_length=TRANSCRIPT_LIMIT)] = "",
    language: Annotated[Literal["", "zh", "en"], Form()] = "",
) -> Response:
    """Clone the voice in ``file``: checked before the response, ready to speak within seconds after it."""
    consent = Consent(
        speaker=_text(consent_speaker, "consent_speaker"),
        statement=_text(consent_statement, "consent_statement"),
        at=datetime.now(UTC),
    )
    title = _text(name, "name")
    gate: ConcurrencyLimiter = request.app.state.enrolling

    async def enrolled() -> Voice:
        async with gate.enter():
            return await library.add(
                file.file,
                name=title,
                consent=consent,
                owner=owner,
                transcript=transcript,
                language=language or None,
            )

    try:
        voice = await attended(request, enrolled())
    except ReferenceRefused as error:
        body = error_body(str(error), 422, code=error.kind, param="file")
        body["error"]["checks"] = [check.model_dump(mode="json") for check in error.checks]
        return JSONResponse(body, status_code=422)
    return JSONResponse(cloned_body(voice, owner), status_code=201)


@router.get("/{voice}")
async def get_voice(voice: str, runtime: RuntimeDep, owner: Owner) -> dict[str, Any]:
    """Return one voice; 404 if it does not exist or is neither owned by nor shared with the caller."""
    if voice in stock_voices(runtime):
        return voice_bodies([voice])[0]
    return cloned_body(await _library(runtime).voice(voice, owner), owner)


class _Change(BaseModel):
    name: WellFormedText | None = Field(default=None, min_length=1, max_length=NAME_LIMIT)
    transcript: WellFormedText | None = Field(default=None, max_length=TRANSCRIPT_LIMIT)
    shared: bool | None = None


@router.patch("/{voice}")
async def change_voice(voice: str, change: _Change, library: Library, owner: Owner) -> dict[str, Any]:
    """Rename a voice, correct the transcript of its reference recording, or start or stop sharing it."""
    name = None if change.name is None else _text(change.name, "name")
    transcript = None if change.transcript is None else " ".join(change.transcript.split())
    changed = await library.change(voice, owner, name=name, transcript=transcript, shared=change.shared)
    return cloned_body(changed, owner)


@router.delete("/{voice}", status_code=204, responses=DELETING)
async def delete_voice(voice: str, library: Library, owner: Owner) -> Response:
    """Permanently delete the voice and everything derived from it; 202 if that takes longer.

    After 202 the voice can no longer be accessed, and deletion continues in the background.
    """
    return deleted(await library.delete(voice, owner))


class _TrainRequest(BaseModel):
    step: Literal["style", "decoder"] | None = None


@router.post("/{voice}/learn")
async def learn_voice(
    voice: str, library: Library, owner: Owner, wish: _TrainRequest | None = None
) -> dict[str, Any]:
    """Start training the voice in the background, up to ``step`` or as far as the settings say."""
    return cloned_body(await library.train(voice, owner, wish.step if wish else None), owner)


@router.post("/{voice}/learn/cancel")
async def stop_learning(voice: str, library: Library, owner: Owner) -> dict[str, Any]:
    """Cancel the voice's training; progress is kept, and later training resumes from it."""
    return cloned_body(await library.cancel_training(voice, owner), owner)


@router.get("/{voice}/reference")
async def get_reference(
    voice: str,
    library: Library,
    owner: Owner,
    range_: Annotated[str | None, Header(alias="range")] = None,
) -> Response:
    """Return the voice's reference recording, the excerpt it was cloned from, as FLAC."""
    data = await library.reference(voice, owner)
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-store"}
    part = byte_range(range_, len(data))
    if part is None:
        return Response(data, media_type="audio/flac", headers=headers)
    start, end = part
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], status_code=206, media_type="audio/flac", headers=headers)


@router.get("/{voice}/sample")
async def get_sample(voice: str, request: Request, runtime: RuntimeDep, owner: Owner) -> Response:
    """Return a sample sentence in the voice as MP3; synthesized on first request, then cached."""
    samples: VoicePreviews = request.app.state.voice_previews
    if voice in stock_voices(runtime):
        return Response(await attended(request, samples.sample(voice)), media_type="audio/mpeg")
    if runtime.voices is None:
        raise NotFound(f"unknown voice {voice[:80]!r}; see /api/voices")
    found = await runtime.voices.voice(voice, owner)
    if voice not in runtime.engines.synthesizer.voices:
        raise ApiError(f"the voice is {found.state}: it cannot be used yet", status=409, code="not_ready")
    # The voice sounds different after further training.
    headers = {"Cache-Control": "private, no-store"}
    data = await attended(request, samples.sample(voice, found.language or ""))
    return Response(data, media_type="audio/mpeg", headers=headers)


def _text(given: str, param: str) -> str:
    """Return ``given`` with whitespace collapsed; an empty text is rejected."""
    if text := " ".join(given.split()):
        return text
    raise ApiError(f"{param} is empty", code="invalid_value", param=param)
