"""A connection does not last for ever, and its client knows."""

import asyncio
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kuaimei.server.realtime.config import SessionConfig
from kuaimei.server.realtime.loops import expire
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.realtime.server_events import ServerEventEmitter
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, make_settings, serving
from tests.support.virtual_time import START, virtually


@virtually
async def test_it_is_told_a_minute_before() -> None:
    outbox = SendQueue(1_000_000)
    config = SessionConfig(make_settings(), voices=("a",), models=("m",), recognizer="r", voice="a")
    ending = asyncio.ensure_future(expire(ServerEventEmitter("s", outbox, config), 3600.0))
    told = json.loads(await outbox.take() or "")
    assert (told["type"], told["seconds"]) == ("kuaimei.session.ending", 60.0)
    assert asyncio.get_running_loop().time() == pytest.approx(START + 3540.0)
    goodbye = await ending
    assert (goodbye.code, goodbye.error) == (1000, "session_expired")
    assert asyncio.get_running_loop().time() == pytest.approx(START + 3600.0)


async def test_its_session_goes_on_in_the_next() -> None:
    archive = MemoryArchive()
    archive.put("sess_old", "你好", "嗨")
    settings = make_settings(max_session_s=0.3)
    async with serving(InMemoryRuntime(settings=settings, store=archive)) as served:
        async with httpx.AsyncClient(base_url=served.url) as http:
            assert (await http.get("/api/status")).json()["limits"]["session_s"] == 0.3
        for _ in range(2):
            async with connect(f"{served.socket_url}?session=sess_old") as socket:
                kinds = []
                with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012 - whichever is the last
                    while True:
                        kinds.append(json.loads(await socket.recv())["type"])
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1000
                assert kinds == ["session.created", "kuaimei.session.ending", "error"]
