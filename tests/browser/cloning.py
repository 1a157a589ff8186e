"""Cloned voices as the page sees them, answered in front of the server, so that every state can be shown."""

import json
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

from playwright.async_api import BrowserContext, Request, Route

__all__ = ["CHECKS", "REFUSING", "Cloning", "cloned_voice"]


def _check(check: str, verdict: str, value: float, unit: str, zh: str, en: str) -> dict[str, Any]:
    return {
        "check": check,
        "verdict": verdict,
        "value": value,
        "unit": unit,
        "advice": {"zh": zh, "en": en},
    }


CHECKS = [
    _check("speech", "ok", 9.2, "s", "說話夠長。", "The recording contains enough speech."),
    _check("noise", "warning", 14.0, "dB", "有一點雜音，換個安靜的地方會更好。", "Somewhat noisy."),
]
REFUSING = [
    _check("speech", "refused", 1.4, "s", "說話太短，至少要 3 秒。", "Too short: at least 3 seconds."),
    _check("speakers", "ok", 0.9, "cosine", "只有一個人在說話。", "One person speaks."),
]


def cloned_voice(voice_id: str = "voice_mum", **changed: Any) -> dict[str, Any]:
    """A body of `GET /api/voices/{id}`; nested objects are replaced in part."""
    body: dict[str, Any] = {
        "object": "kuaimei.voice",
        "id": voice_id,
        "name": "媽媽",
        "mine": True,
        "shared": False,
        "kind": "cloned",
        "language": "zh",
        "sample": f"/api/voices/{voice_id}/sample",
        "state": "ready",
        "stage": "",
        "error": None,
        "transcript": "今天天氣很好。",
        "duration_s": 9.2,
        "created_at": "2026-03-01T12:00:00Z",
        "label": "similar",
        "checks": CHECKS,
        "pitch": {"mean_hz": 210.0, "low_hz": 160.0, "high_hz": 300.0, "log_sd": 0.2},
        "consent": {"speaker": "王美美", "statement": "我同意。", "at": "2026-03-01T12:00:00Z"},
        "reference": f"/api/voices/{voice_id}/reference",
        "learning": {
            "step": "style",
            "state": "running",
            "progress": 0.4,
            "similarity": 0.61,
            "eta_s": 130,
            "error": None,
        },
    }
    for name, value in changed.items():
        body[name] = {**body[name], **value} if isinstance(body[name], dict) else value
    return body


@dataclass
class Cloning:
    """Answers for the cloned voices; all else is the server's.

    Attributes:
        voices: Bodies by id.
        refusal: Checks of a recording that is refused; None: it is taken.
        uploads: Fields of what was sent.
        asked: Method and path of every request about a cloned voice, in order.
        sound: Of samples and references.
        slow_to_delete: A deletion is answered before it has come to its end.
    """

    sound: bytes
    voices: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusal: list[dict[str, Any]] | None = None
    uploads: list[dict[str, bytes]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    slow_to_delete: bool = False

    async def install(self, context: BrowserContext) -> None:
        """Stand in front of the server for every page of ``context``."""
        await context.route("**/api/voices", self._all)
        await context.route("**/api/voices/voice_*", self._one)
        await context.route("**/api/voices/voice_*/**", self._of_one)

    async def _all(self, route: Route) -> None:
        request = route.request
        if request.method == "POST":
            await self._add(route)
            return
        answer = await route.fetch()
        body = await answer.json()
        # The fake synthesiser speaks with the cloned ones, too, and calls them its own.
        stock = [voice for voice in body["data"] if not voice["id"].startswith("voice_")]
        body["data"] = [*stock, *self.voices.values()]
        await route.fulfill(response=answer, json=body)

    async def _add(self, route: Route) -> None:
        self.uploads.append(_fields(route.request))
        if self.refusal is not None:
            error = {"code": "reference_refused", "message": "這段錄音太短。", "checks": self.refusal}
            await route.fulfill(status=422, json={"error": error})
            return
        given = self.uploads[-1]
        voice = cloned_voice(
            "voice_new",
            name=given["name"].decode(),
            state="preparing",
            stage="listening",
            transcript=None,
            consent={"speaker": given["consent_speaker"].decode()},
            learning={"step": "predicted", "state": "waiting", "progress": 0.0, "similarity": None},
        )
        self.voices[voice["id"]] = voice
        await route.fulfill(status=201, json=voice)

    async def _one(self, route: Route) -> None:
        request = route.request
        voice_id = request.url.rsplit("/", 1)[1].partition("?")[0]
        self.asked.append(f"{request.method} {voice_id}")
        voice = self.voices.get(voice_id)
        if voice is None:
            await route.fulfill(status=404, json={"error": {"message": "no such voice", "code": "not_found"}})
        elif request.method == "PATCH":
            voice |= json.loads(request.post_data or "{}")
            await route.fulfill(json=voice)
        elif request.method == "DELETE":
            del self.voices[voice_id]
            if self.slow_to_delete:
                await route.fulfill(status=202, json={"object": "kuaimei.deletion", "state": "deleting"})
            else:
                await route.fulfill(status=204)
        else:
            await route.fulfill(json=voice)

    async def _of_one(self, route: Route) -> None:
        request = route.request
        voice_id, _, what = request.url.partition("/api/voices/")[2].partition("/")
        what = what.partition("?")[0]
        self.asked.append(f"{request.method} {voice_id}/{what}")
        voice = self.voices[voice_id]
        if what == "learn":
            voice["learning"] |= {"state": "waiting"}
        elif what == "learn/cancel":
            voice["learning"] |= {"state": "cancelled"}
        else:
            await route.fulfill(body=self.sound, content_type="audio/flac")
            return
        await route.fulfill(json=voice)


def _fields(request: Request) -> dict[str, bytes]:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    form = message_from_bytes(head + (request.post_data_buffer or b""), policy=HTTP)
    found: dict[str, bytes] = {}
    for part in form.walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            found[name] = payload
    return found
