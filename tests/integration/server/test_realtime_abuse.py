"""What a client may get wrong, and what that costs it: an error, never somebody else's turn."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kuaimei.server.realtime import connections
from kuaimei.server.realtime.loops import FRAME_LIMIT
from tests.support.fakes import FakeLanguageModel, FakeSynthesizer, said
from tests.support.server.app_server import (
    KEY,
    InMemoryRuntime,
    MemoryArchive,
    eventually,
    make_settings,
    quick_engines,
    serving,
)
from tests.support.server.realtime_client import b64, talking, wire

WRONG: list[tuple[dict[str, Any], str, str | None]] = [
    ({"type": "no.such.event"}, "unknown_event", "type"),
    ({"type": ["odd"]}, "unknown_event", "type"),
    ({"type": "input_audio_buffer.append"}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.append", "audio": 7}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.append", "audio": "no base64!"}, "invalid_audio", "audio"),
    ({"type": "input_audio_buffer.append", "audio": b64(b"odd")}, "invalid_audio", "audio"),
    ({"type": "session.update"}, "invalid_value", "session"),
    (
        {
            "type": "session.update",
            "session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
        },
        "unsupported_rate",
        "session.audio.input.format.rate",
    ),
    (
        {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/mp3"}}}}},
        "invalid_value",
        "session.audio.input.format.type",
    ),
    (
        {"type": "session.update", "session": {"audio": {"output": {"voice": "alloy"}}}},
        "voice_not_found",
        "session.audio.output.voice",
    ),
    (
        {"type": "session.update", "session": {"audio": {"output": {"speed": 9}}}},
        "invalid_value",
        "session.audio.output.speed",
    ),
    (
        {"type": "session.update", "session": {"audio": {"output": {"voice": 7}}}},
        "invalid_value",
        "session.audio.output.voice",
    ),
    ({"type": "session.update", "session": {"model": "gpt-realtime"}}, "model_not_found", "session.model"),
    (
        {"type": "session.update", "session": {"tools": [{"type": "function", "name": "f"}]}},
        "unsupported",
        "session.tools",
    ),
    (
        {"type": "session.update", "session": {"output_modalities": ["text", "audio"]}},
        "invalid_value",
        "session.output_modalities",
    ),
    (
        {"type": "conversation.item.create", "item": {"type": "function_call_output"}},
        "unsupported",
        "item.type",
    ),
    (
        {"type": "conversation.item.create", "item": {"type": "message", "role": "tool", "content": []}},
        "invalid_value",
        "item.role",
    ),
    (
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": ""}]},
        },
        "unsupported",
        "item.content.0",
    ),
    (
        {
            "type": "conversation.item.create",
            "previous_item_id": "nobody",
            "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "好"}]},
        },
        "unsupported",
        "previous_item_id",
    ),
    ({"type": "conversation.item.delete", "item_id": "nobody"}, "item_not_found", "item_id"),
    (
        {"type": "conversation.item.truncate", "item_id": "x", "audio_end_ms": -1},
        "invalid_value",
        "audio_end_ms",
    ),
    (
        {"type": "response.create", "response": {"conversation": "none"}},
        "unsupported",
        "response.conversation",
    ),
    ({"type": "response.create", "response": {"input": []}}, "unsupported", "response.input"),
]


async def last_words(socket: ClientConnection) -> ConnectionClosed:
    """How the connection ends; whatever comes before is thrown away."""
    while True:
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            return closed


async def test_every_wrong_event_is_answered_and_the_turn_works_all_the_same() -> None:
    async with serving() as served, talking(served) as talk, talking(served) as other:
        for n, (event, code, param) in enumerate(WRONG):
            await talk.socket.send(json.dumps({**event, "event_id": f"mine-{n}"}))
            error = await talk.error()
            assert (error["code"], error["param"], error["event_id"]) == (code, param, f"mine-{n}"), error
            assert error["type"] == "invalid_request_error"
            assert error["message"]
        for text in ("{", "[]", "7", '"text"', "[" * 50_000):
            await talk.socket.send(text)
            assert (await talk.error())["code"] == "invalid_json"
        await talk.socket.send(b"\x00\x01")
        assert (await talk.error())["code"] == "invalid_frame"
        await talk.send("input_audio_buffer.append", audio="A" * (FRAME_LIMIT + 4))
        assert (await talk.error())["code"] == "event_too_large"
        for each in (talk, other):
            await each.ask()
            done = await each.until("response.done")
            assert done["response"]["status"] == "completed"
        assert not [e for e in other.events if e["type"] == "error"]


async def test_a_frame_beyond_all_bounds_ends_only_its_connection() -> None:
    async with serving() as served, talking(served) as other:
        async with talking(served) as talk:
            with suppress(ConnectionClosed):  # the server need not hear all of it
                await talk.socket.send("A" * (5 * FRAME_LIMIT))
            closed = await last_words(talk.socket)
            assert closed.rcvd is None or closed.rcvd.code == 1009
        await other.ask()
        await other.until("response.done")


async def test_an_unknown_model_is_told_and_the_server_answers() -> None:
    async with serving() as served, talking(served, "?model=gpt-realtime") as talk:
        assert talk.events[0]["session"]["model"] == "kuaimei"
        error = await talk.error()
        assert error["code"] == "model_not_found"
        assert "kuaimei, tiny" in error["message"]
        await talk.ask()
        await talk.until("response.done")


async def test_places_are_limited_and_come_free_again() -> None:
    settings = make_settings(max_sessions=2, max_waiting=0)
    async with serving(InMemoryRuntime(settings=settings)) as served:
        async with talking(served), talking(served), connect(served.socket_url) as third:
            error = json.loads(await third.recv())
            assert error["error"]["code"] == "too_many_sessions"
            with pytest.raises(ConnectionClosed) as closed:
                await third.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
        async with asyncio.timeout(10):
            while True:
                async with connect(served.socket_url) as again:
                    if json.loads(await again.recv())["type"] == "session.created":
                        break


async def test_a_client_that_says_nothing_is_let_go() -> None:
    settings = make_settings(idle_timeout_s=0.2)
    async with serving(InMemoryRuntime(settings=settings)) as served, talking(served) as talk:
        with pytest.raises(ConnectionClosed) as closed:
            await talk.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
        assert "no activity" in closed.value.rcvd.reason


async def test_a_client_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OUTBOX_LIMIT", 400_000)
    # More audio than the sockets' own buffers take: 240 characters of two seconds each.
    engines = quick_engines(
        synthesizer=FakeSynthesizer(delay_s=0, character_ms=2000),
        language_model=FakeLanguageModel(reply="一二三四五六七八九，" * 24, first_token_s=0, token_s=0),
    )
    settings = make_settings(dialogue={"speech_lead_ms": 3_600_000, "synthesis_timeout_s": 60.0})
    runtime = InMemoryRuntime(settings=settings, engines=engines)
    async with serving(runtime) as served, talking(served) as other:
        async with connect(served.socket_url, max_size=None, max_queue=1) as socket:
            session = json.loads(await socket.recv())["session"]["id"]
            await socket.send(json.dumps({"type": "response.create"}))
            # Nothing is read any more, until the server has given up.
            await eventually(lambda: session in served.runtime.ended)
            async with asyncio.timeout(20):
                closed = await last_words(socket)
            assert closed.rcvd is not None
            assert (closed.rcvd.code, closed.rcvd.reason) == (
                1013,
                "the client reads events too slowly: too many are queued",
            )
        await other.send("session.update", session={"output_modalities": ["text"]})
        await other.until("session.updated")
        await other.send("response.create")
        await other.until("response.done")


async def test_a_key_is_demanded() -> None:
    settings = make_settings(key=KEY)
    async with serving(InMemoryRuntime(settings=settings)) as served:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(served.socket_url, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == 401
            assert json.loads(refused.value.response.body or b"")["error"]["code"] == "invalid_api_key"
        async with talking(served, additional_headers={"Authorization": f"Bearer {KEY}"}):
            pass
        protocols = ["realtime", f"openai-insecure-api-key.{KEY}"]
        async with talking(served, subprotocols=protocols) as talk:
            assert talk.socket.subprotocol == "realtime"
        async with served.client(KEY) as client, client.realtime.connect(model="kuaimei") as connection:
            assert (await connection.recv()).type == "session.created"


async def test_pages_of_other_sites_are_refused() -> None:
    settings = make_settings(key=KEY, allowed_hosts=("talk.example", "https://page.example:8443"))
    shown = {"Authorization": f"Bearer {KEY}"}
    async with serving(InMemoryRuntime(settings=settings)) as served:
        for origin in (
            "https://evil.example",
            "null",
            "http://localhost:1",
            "https://talk.example",  # the server was not asked for by that name
            "https://page.example",
            "http://page.example:8443",
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(served.socket_url, origin=origin, additional_headers=shown):  # type: ignore[arg-type]
                    pass
            assert refused.value.response.status_code == 403
        for origin in (served.url, "https://page.example:8443"):
            async with talking(served, origin=origin, additional_headers=shown):
                pass
        url = f"ws://rebound.example:{served.port}/v1/realtime"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, host="127.0.0.1"):
                pass
        assert refused.value.response.status_code == 421


async def test_an_earlier_session_goes_on() -> None:
    archive = MemoryArchive()
    archive.put("sess_old", "我叫小明", "你好小明")
    archive.put("sess_other", "秘密", owner="somebody else")
    async with serving(InMemoryRuntime(store=archive)) as served:
        async with talking(served, "?session=sess_old") as talk:
            assert talk.events[0]["session"]["id"] == "sess_old"
            async with connect(f"{served.socket_url}?session=sess_old") as second:
                assert json.loads(await second.recv())["error"]["code"] == "session_in_use"
            await talk.ask()
            timing = await talk.until("kuaimei.turn.timing")
            assert timing["turn"] == 2
            model = served.runtime.engines.language_model
            assert isinstance(model, FakeLanguageModel)
            assert [m.content for m in model.requests[-1].messages[1:]] == ["我叫小明", "你好小明", "你好嗎"]
        for unknown in ("sess_new", "sess_other", "../etc", "a" * 99):
            async with connect(f"{served.socket_url}?session={unknown}") as refused:
                assert json.loads(await refused.recv())["error"]["code"] == "session_not_found"
        async with talking(served) as talk:
            session = talk.events[0]["session"]["id"]
            assert archive.kept[session].client["transport"] == "websocket"
        archive.away = True
        async with talking(served) as talk:  # the database is no reason not to talk
            await talk.ask()
            await talk.until("response.done")


async def test_a_recording_sent_at_once_does_not_hold_up_the_others() -> None:
    async with serving() as served, talking(served) as flood, talking(served) as other:
        minute = wire(np.concatenate([said("一二三四五")] * 25))  # 20 s
        for _ in range(3):
            await flood.send("input_audio_buffer.append", audio=b64(minute))
        await other.ask()
        done = await other.until("response.done")
        assert done["response"]["status"] == "completed"
        flood.socket.transport.abort()  # it is being read slowly, its goodbye too


async def test_what_is_put_into_a_conversation_is_bounded() -> None:
    def item(role: str, text: str, name: str) -> dict[str, Any]:
        kind = "output_text" if role == "assistant" else "input_text"
        content = [{"type": kind, "text": text}]
        return {"type": "message", "role": role, "id": name, "content": content}

    async with serving() as served, talking(served) as talk:
        for n in range(3):
            await talk.send("conversation.item.create", item=item("system", "x" * 20_000, f"i{n}"))
            await talk.until("conversation.item.done")
        await talk.send("conversation.item.create", item=item("assistant", "x" * 20_000, "i3"))
        error = await talk.error()
        assert (error["code"], error["param"]) == ("conversation_too_large", "item.content")
        await talk.send("conversation.item.delete", item_id="i0")
        await talk.until("conversation.item.deleted")
        await talk.send("conversation.item.create", item=item("assistant", "x" * 20_000, "i3"))
        await talk.until("conversation.item.done")
        await talk.send("conversation.item.create", item=item("user", "你好", "mine"))  # is always taken
        await talk.until("conversation.item.done")
        # Whatever was put in, the prompt stays small.
        await talk.send("response.create", response={"output_modalities": ["text"]})
        await talk.until("response.done")
        model = served.runtime.engines.language_model
        assert isinstance(model, FakeLanguageModel)
        prompt = served.runtime.settings.dialogue.system_prompt
        assert sum(len(m.content) for m in model.requests[-1].messages) < 10_000 + len(prompt)
