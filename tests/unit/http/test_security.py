"""Who may come in, asked of the guard alone."""

import json
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from kuaimei.http.refusals import Refusals
from kuaimei.http.security import AuthMiddleware, key_of
from kuaimei.people.authentication import Authentication
from kuaimei.people.keys import new_key
from kuaimei.settings import ServerSettings
from tests.unit.server.guarding import ask, inside

KEY = "a-key-of-some-length"
SHOWN = f"Bearer {KEY}"
PROXY = "10.0.0.7"


def guard(**settings: Any) -> AuthMiddleware:
    return AuthMiddleware(inside, ServerSettings(**{"api_key": SecretStr(KEY), **settings}))


def opened(**settings: Any) -> AuthMiddleware:
    return AuthMiddleware(inside, ServerSettings(open=True, **settings))


def code(body: bytes) -> str:
    found: str = json.loads(body)["error"]["code"]
    return found


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:8000",
        "127.9.9.9",
        "[::1]:8000",
        "192.168.1.2",
        "talk.example:443",
        "page.example",
    ],
)
async def test_hosts_that_are_ours(host: str) -> None:
    named = guard(allowed_hosts=("talk.example", "https://page.example:8443"))
    assert await ask(named, host=host, authorization=SHOWN) == (200, b"local api_key")


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[", "talk.example."]
)
async def test_hosts_that_are_not(host: str) -> None:
    status, body = await ask(guard(allowed_hosts=("talk.example",)), host=host, authorization=SHOWN)
    assert (status, code(body)) == (421, "host_not_allowed")


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8000", "http://localhost:8000", 200),
        ("localhost:8000", "http://LOCALHOST:8000", 200),
        ("localhost:8000", "http://localhost:9000", 403),
        ("localhost:8000", "https://evil.example", 403),
        ("localhost:8000", "null", 403),
        ("localhost:8000", "file://", 403),
        ("localhost:8000", "http://[", 403),
        ("localhost:8000", "http://localhost:x", 403),
        ("localhost:8000", "", 403),
        # By its name: the page must come from exactly there.
        ("talk.example", "https://talk.example", 200),
        ("talk.example:443", "https://talk.example", 200),
        ("talk.example:8443", "https://talk.example:8443", 200),
        ("talk.example", "https://talk.example:8443", 403),
        ("talk.example:8443", "http://talk.example", 403),
        ("talk.example:443", "http://talk.example", 403),
        ("localhost:8000", "https://talk.example", 403),
        # An origin that was allowed may ask under any name, and only it.
        ("localhost:8000", "https://page.example:8443", 200),
        ("talk.example", "https://page.example:8443", 200),
        ("localhost:8000", "https://page.example", 403),
        ("localhost:8000", "http://page.example:8443", 403),
    ],
)
async def test_pages(host: str, origin: str, status: int) -> None:
    named = guard(allowed_hosts=("talk.example", "https://page.example:8443"))
    assert (await ask(named, host=host, origin=origin, authorization=SHOWN))[0] == status


@pytest.mark.parametrize(
    ("scheme", "forwarded", "origin", "status"),
    [
        ("http", "https", "https://talk.example", 200),
        ("http", "https", "http://talk.example", 403),
        ("http", "http", "https://talk.example", 403),
        ("https", "", "https://talk.example", 200),
        ("https", "", "http://talk.example", 403),
        ("https", "http", "http://talk.example", 403),
    ],
)
async def test_a_page_over_plain_http_is_not_that_over_https(
    scheme: str, forwarded: str, origin: str, status: int
) -> None:
    headers = {"x_forwarded_proto": forwarded} if forwarded else {}
    named = guard(allowed_hosts=("talk.example",))
    given = {"host": "talk.example", "origin": origin, "authorization": SHOWN, **headers}
    assert (await ask(named, scheme=scheme, **given))[0] == status


_EMBEDDED = {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
_OPENED = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE"])
@pytest.mark.parametrize(
    "path", ["/api/listening/next", "/metrics", "/", "/healthz", "/api/sessions/x/export"]
)
async def test_what_another_site_makes_a_browser_send_is_refused(site: str, path: str) -> None:
    for locked in (opened(), guard()):
        status, body = await ask(locked, path, sec_fetch_site=site, authorization=SHOWN, **_EMBEDDED)
        assert (status, code(body)) == (403, "cross_site")


async def test_a_link_on_another_site_may_open_the_page_and_nothing_else() -> None:
    assert (await ask(opened(), "/", sec_fetch_site="cross-site", **_OPENED))[0] == 200
    assert (await ask(opened(), "/api/status", sec_fetch_site="cross-site", **_OPENED))[0] == 403
    assert (await ask(opened(), "/healthz", sec_fetch_site="cross-site", **_OPENED))[0] == 403
    assert (await ask(opened(), "/", method="POST", sec_fetch_site="cross-site", **_OPENED))[0] == 403
    framed = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
    assert (await ask(opened(), "/", sec_fetch_site="cross-site", **framed))[0] == 403


async def test_own_pages_programs_and_allowed_origins_say_the_same_and_come_in() -> None:
    for site in ("same-origin", "none"):
        assert (await ask(opened(), sec_fetch_site=site, **_EMBEDDED))[0] == 200
    allowing = guard(allowed_hosts=("https://page.example",))
    headers = {"origin": "https://page.example", "sec_fetch_site": "cross-site", "authorization": SHOWN}
    assert (await ask(allowing, **headers))[0] == 200


async def test_keys() -> None:
    locked = guard()
    assert (await ask(locked))[0] == 401
    assert (await ask(locked, authorization=KEY))[0] == 401
    assert (await ask(locked, authorization=f"Basic {KEY}"))[0] == 401
    assert (await ask(locked, authorization=f"Bearer {KEY}x"))[0] == 401
    assert await ask(locked, authorization=f"bearer {KEY}") == (200, b"local api_key")
    assert await ask(locked, path="/healthz") == (200, b"")
    assert (await ask(locked, path="/healthz/"))[0] == 401


async def test_without_any_key_set_nobody_comes_in() -> None:
    """Forgetting to give the guard what it needs keeps people out; it does not let them in."""
    closed = AuthMiddleware(inside, ServerSettings())
    assert (await ask(closed))[0] == 401
    assert (await ask(closed, authorization="Bearer "))[0] == 401
    assert (await ask(closed, authorization="Bearer none"))[0] == 401


@pytest.mark.parametrize(
    "header",
    [
        "forwarded",
        "via",
        "x-real-ip",
        "x-forwarded-for",
        "X-Forwarded-Host",
        "x-forwarded-proto",
        "x-client-ip",
    ],
)
async def test_where_no_key_is_asked_for_nobody_comes_through_a_proxy(header: str) -> None:
    for path in ("/api/sessions", "/", "/healthz"):
        status, body = await ask(opened(), path, **{header: "192.168.1.77"})
        assert (status, code(body)) == (403, "proxy_not_allowed")
    assert (await ask(guard(), authorization=SHOWN, **{header: "192.168.1.77"}))[0] == 200


async def test_a_key_that_may_be_somebodys_waits_until_people_are_known() -> None:
    settings = ServerSettings(api_key=SecretStr(KEY))
    authentication = Authentication(settings)
    loading = AuthMiddleware(inside, settings, authentication=authentication, loading=True)
    assert await ask(loading, authorization=f"Bearer {new_key()}") == (200, b"")
    assert (await ask(loading, authorization="Bearer something-else-1"))[0] == 401
    assert (await ask(loading))[0] == 401
    authentication.ready = True
    assert (await ask(loading, authorization=f"Bearer {new_key()}"))[0] == 401


async def test_the_address_that_is_told_is_the_one_a_trusted_proxy_saw() -> None:
    told: list[tuple[str, str]] = []

    class Listening(Refusals):
        def note(self, reason: Any, peer: str) -> None:
            told.append((reason, peer))

    settings = ServerSettings(api_key=SecretStr(KEY), identity_header="X-User", trusted_proxies=(PROXY,))
    listening = AuthMiddleware(inside, settings, refusals=Listening())
    forged = {"x_forwarded_for": "8.8.8.8, 192.168.1.77"}
    await ask(listening, peer=PROXY, **forged)
    await ask(listening, peer="10.0.0.8", **forged)
    await ask(listening, peer=PROXY, x_forwarded_for="no address\nat all")
    assert told == [("no_key", "192.168.1.77"), ("no_key", "10.0.0.8"), ("no_key", PROXY)]


async def test_lifespan_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing() -> Message:
        return {}

    async def nowhere(message: Message) -> None: ...

    await AuthMiddleware(app, ServerSettings(api_key=SecretStr(KEY)))({"type": "lifespan"}, nothing, nowhere)
    assert seen == ["lifespan"]


def test_keys_of_browsers() -> None:
    assert key_of(Headers({}), ["realtime", f"openai-insecure-api-key.{KEY}"]) == KEY
    assert key_of(Headers({"authorization": f"Bearer {KEY}"}), ["realtime"]) == KEY
    assert key_of(Headers({}), ["realtime"]) == ""
