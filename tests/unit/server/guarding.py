"""Requests put to the guard alone, without a server."""

from typing import Any

from starlette.types import Message, Receive, Scope, Send

from kuaimei.http.security import AuthMiddleware

__all__ = ["ask", "inside"]


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """What lies behind the guard: says who it was told that is asking."""
    caller = scope["state"]["caller"]
    told = f"{scope['state']['owner']} {'' if caller is None else caller.via}".strip()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told.encode()})


async def ask(
    guard: AuthMiddleware,
    path: str = "/v1/models",
    *,
    peer: str = "127.0.0.1",
    method: str = "GET",
    scheme: str = "http",
    **headers: str,
) -> tuple[int, bytes]:
    """Status and body of the answer; ``_`` in the name of a header stands for ``-``."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"host": "localhost:8000", **{k.replace("_", "-"): v for k, v in headers.items()}}
    raw = [(k.encode(), v.encode()) for k, v in given.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "scheme": scheme,
        "path": path,
        "headers": raw,
        "subprotocols": [],
        "client": (peer, 50_000),
    }
    await guard(scope, receive, send)
    return sent[0].get("status", 0), sent[-1].get("body", b"")
