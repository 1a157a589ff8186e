"""Whoever sits at the page, as the server knows them: its own answers, or stand-ins where it has none.

Every route asks the server first. Only where it answers that there is no such path (404, or 405) a
stand-in answers in its place, so that the tests of the page need no change when the server learns it.
"""

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import APIResponse, BrowserContext, Request, Route

__all__ = ["Person"]

_MISSING: Final = frozenset({404, 405})


@dataclass
class Person:
    """Somebody at the page.

    Attributes:
        accepted: What the page is told of the notice; None: what the server says.
        me: Parts of ``GET /api/me`` that the page is told instead of what the server says.
        environment: Parts of ``GET /api/voices/learning``, likewise.
        forgotten: Body of ``POST /api/me/forget`` and its status; None: the server's.
        asked: Method and path of every request about this person, in order, with the key shown.
    """

    accepted: bool | None = True
    me: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    forgotten: tuple[int, dict[str, Any]] | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    _agreed: bool = False

    async def install(self, context: BrowserContext) -> None:
        """Stand in front of the server for every page of ``context``."""
        await context.route("**/api/me", self._me)
        await context.route("**/api/me/*", self._of_me)
        await context.route("**/api/voices/learning", self._learning)

    async def _me(self, route: Route) -> None:
        answer = await self._ask(route)
        if answer is None:
            return
        if answer.status in _MISSING:
            await route.fulfill(json=self._told(self._stand_in()))
        elif answer.ok:
            await route.fulfill(response=answer, json=self._told(await answer.json()))
        else:
            await route.fulfill(response=answer)

    async def _of_me(self, route: Route) -> None:
        what = route.request.url.rsplit("/", 1)[1].partition("?")[0]
        if what == "forget":
            self.confirmed.append(json.loads(route.request.post_data or "{}").get("confirm", ""))
            if self.forgotten is not None:
                self._note(route.request)
                status, body = self.forgotten
                await route.fulfill(status=status, json=body)
                return
        if what == "notice":
            self._agreed = True
        answer = await self._ask(route)
        if answer is None:
            return
        if answer.status not in _MISSING:
            if what == "notice" and answer.ok:
                await route.fulfill(response=answer, json=self._told(await answer.json()))
            else:
                await route.fulfill(response=answer)
        elif what == "notice":
            await route.fulfill(json=self._told(self._stand_in()))
        elif what == "export":
            await route.fulfill(body=_archive(), content_type="application/zip")
        elif what == "forget":
            body = {"object": "kuaimei.forgotten", "sessions": 0, "voices": 0, "left": []}
            await route.fulfill(json=body)
        else:
            await route.fulfill(status=204)

    async def _learning(self, route: Route) -> None:
        answer = await self._ask(route)
        if answer is None:
            return
        known: dict[str, Any] = {"object": "kuaimei.learning_environment", "state": "ready"}
        known |= {"progress": None, "detail": "", "eta_s": None}
        if answer.ok:
            known = await answer.json()
        elif answer.status not in _MISSING:
            await route.fulfill(response=answer)
            return
        await route.fulfill(json={**known, **self.environment})

    async def _ask(self, route: Route) -> APIResponse | None:
        """The server's own answer; None: there is none, and the page was told so."""
        self._note(route.request)
        try:
            # The browser may know the server by a name that only it can resolve.
            address = urlsplit(route.request.url)
            return await route.fetch(url=address._replace(netloc=f"127.0.0.1:{address.port}").geturl())
        except Exception:  # Playwright has no narrower class for a server that is away
            await route.abort("connectionrefused")
            return None

    def _note(self, request: Request) -> None:
        path = "/" + request.url.split("/", 3)[3].partition("?")[0]
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.asked.append((f"{request.method} {path}", key))

    def _stand_in(self) -> dict[str, Any]:
        return {
            "object": "kuaimei.me",
            "id": "person_local",
            "name": "小美",
            "role": "operator",
            "via": "api_key",
            "keeping": {"keep": True, "retention_days": 0.0, "voice_retention_days": 0.0},
            "notice": {"version": "1", "accepted": self._agreed},
        }

    def _told(self, body: dict[str, Any]) -> dict[str, Any]:
        told = {**body, **self.me}
        if self.accepted is not None:
            told["notice"] = {**told["notice"], "accepted": self.accepted}
        return told


def _archive() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("me.json", json.dumps({"name": "小美"}, ensure_ascii=False))
    return held.getvalue()
