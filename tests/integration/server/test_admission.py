"""The queue, sessions that change hands, and how much one client may ask for."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.fakes import FakeLanguageModel, FakeRecognizer, said, silence
from tests.support.server.app_server import (
    InMemoryRuntime,
    MemoryArchive,
    eventually,
    make_settings,
    serving,
)
from tests.support.server.realtime_client import Talk, b64, talking, wire


def full_runtime(waiting: int = 2) -> InMemoryRuntime:
    return InMemoryRuntime(settings=make_settings(max_sessions=1, max_waiting=waiting))


async def test_who_comes_too_late_waits_and_sees_its_place() -> None:
    async with serving(full_runtime()) as served:
        async with talking(served) as inside:
            first, second = Talk(await connect(served.socket_url)), Talk(await connect(served.socket_url))
            assert (await first.until("kuaimei.queue"))["place"] == 1
            queue = await second.until("kuaimei.queue")
            assert (queue["place"], queue["capacity"]) == (2, 1)
            third = Talk(await connect(served.socket_url))
            assert (await third.error())["code"] == "too_many_sessions"
            with pytest.raises(ConnectionClosed) as closed:
                await third.next()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
            # What is set while waiting holds; what is said is not heard, it would be stale.
            await first.send("session.update", session={"output_modalities": ["text"]})
            await first.send(
                "input_audio_buffer.append", audio=b64(wire(said("一二三四五六七"), silence(1500)))
            )
            await first.socket.send("{")
            await inside.ask()  # the one inside is not held up
            await inside.until("response.done")
        assert (await second.until("kuaimei.queue", lambda e: e["place"] == 1))["waiting"] == 1
        assert (await first.until("kuaimei.queue"))["place"] == 0
        await first.until("session.created")
        updated = await first.until("session.updated")
        assert updated["session"]["output_modalities"] == ["text"]
        assert (await first.error())["code"] == "invalid_json"
        await first.ask()
        await first.until("response.done")
        assert first.kinds.count("input_audio_buffer.speech_started") == 1
        await second.socket.close()  # gives up
        await first.socket.close()
        async with talking(served) as again:
            await again.ask()
            await again.until("response.done")


async def test_what_may_be_sent_while_waiting_is_bounded() -> None:
    async with serving(full_runtime()) as served:
        async with talking(served):
            waiting = Talk(await connect(served.socket_url))
            await waiting.until("kuaimei.queue")
            for n in range(64):
                await waiting.send("session.update", session={"instructions": str(n + 1)})
            await waiting.send("session.update", session={"instructions": "one too many"})
            assert (await waiting.error())["code"] == "too_many_events"
        for n in range(64):
            updated = await waiting.until("session.updated")
            assert updated["session"]["instructions"] == str(n + 1)
        await waiting.socket.close()


async def test_a_lost_connection_is_taken_over_before_the_queue() -> None:
    archive = MemoryArchive()
    archive.put("sess_old", "我叫小明", "你好小明")
    runtime = InMemoryRuntime(settings=make_settings(max_sessions=1, max_waiting=1), store=archive)
    async with serving(runtime) as served, talking(served, "?session=sess_old") as lost:
        queued = Talk(await connect(served.socket_url))
        await queued.until("kuaimei.queue")
        async with talking(served, "?session=sess_old&takeover=true") as again:
            assert (await lost.error())["code"] == "session_taken_over"
            with pytest.raises(ConnectionClosed) as closed:
                await lost.next()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            await again.ask()
            assert (await again.until("kuaimei.turn.timing"))["turn"] == 2
        await queued.until("kuaimei.queue", lambda e: e["place"] == 0)
        await queued.until("session.created")
        await queued.socket.close()


async def test_a_session_of_somebody_else_cannot_be_taken_over() -> None:
    archive = MemoryArchive()
    archive.put("sess_other", "秘密", owner="somebody else")
    async with (
        serving(InMemoryRuntime(store=archive)) as served,
        connect(f"{served.socket_url}?session=sess_other&takeover=true") as refused,
    ):
        assert json.loads(await refused.recv())["error"]["code"] == "session_not_found"


async def test_a_forgotten_tab_is_let_go_though_it_sends_silence() -> None:
    settings = make_settings(idle_timeout_s=0.6)
    async with serving(InMemoryRuntime(settings=settings)) as served, talking(served) as talk:

        async def hum() -> None:
            while True:
                await talk.send("input_audio_buffer.append", audio=b64(wire(silence(100))))
                await asyncio.sleep(0.05)

        humming = asyncio.ensure_future(hum())
        with pytest.raises(ConnectionClosed) as closed:
            await talk.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
        humming.cancel()
        await asyncio.gather(humming, return_exceptions=True)


async def test_too_many_requests_are_told_and_the_session_goes_on() -> None:
    settings = make_settings(requests_per_minute=3)
    runtime = InMemoryRuntime(settings=settings)
    async with serving(runtime) as served, talking(served) as talk, talking(served) as other:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "你好"}]}
        for _ in range(2):
            await talk.send("conversation.item.create", item=item)
            await talk.until("conversation.item.done")
        await talk.send("response.create")
        await talk.until("response.done")
        await talk.send("response.create", event_id="mine")
        error = await talk.error()
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert error["event_id"] == "mine"
        await talk.send("conversation.item.create", item=item)
        assert (await talk.error())["code"] == "rate_limit_exceeded"
        await talk.ask()  # what is spoken takes its own time
        await talk.until("response.done")
        await other.send("response.create")  # another session's count is its own
        await other.until("response.done")


async def test_messages_are_taken_out_of_the_conversation() -> None:
    archive = MemoryArchive()
    archive.put("sess_old", "我叫小明", "你好小明")
    async with (
        serving(InMemoryRuntime(store=archive)) as served,
        talking(served, "?session=sess_old") as talk,
    ):
        model = served.runtime.engines.language_model
        assert isinstance(model, FakeLanguageModel)

        async def remembered() -> list[str]:
            await talk.send("response.create")
            await talk.until("response.done")
            return [m.content for m in model.requests[-1].messages[1:]]

        def item(text: str, role: str = "user", **more: str) -> dict[str, object]:
            kind = "output_text" if role == "assistant" else "input_text"
            return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **more}

        await talk.send("conversation.item.create", item=item("備註", "system", id="note"))
        await talk.send("conversation.item.create", item=item("第一句", id="one"))
        assert await remembered() == ["我叫小明", "你好小明", "備註", "第一句"]
        reply = next(e for e in reversed(talk.events) if e["type"] == "response.done")["response"]["output"][
            0
        ]
        for item_id in ("utt_sess_old_0", "one", reply["id"]):
            await talk.send("conversation.item.delete", item_id=item_id)
            assert (await talk.until("conversation.item.deleted"))["item_id"] == item_id
            await talk.send("conversation.item.retrieve", item_id=item_id)
            assert (await talk.error())["code"] == "item_not_found"
        await talk.send("conversation.item.create", item=item("第二句"))
        assert await remembered() == ["你好小明", "備註", "第二句"]


async def test_a_client_chooses_how_it_is_listened_to() -> None:
    async with serving() as served, talking(served) as talk:
        audio = {
            "input": {
                "turn_detection": {
                    "type": "server_vad",
                    "silence_duration_ms": 2000,
                    "prefix_padding_ms": 100,
                },
                "transcription": {"language": "zh-TW", "keywords": ["快美"]},
            }
        }
        await talk.send("session.update", session={"audio": audio})
        told = (await talk.until("session.updated"))["session"]["audio"]["input"]
        assert told["turn_detection"]["silence_duration_ms"] == 2000
        assert told["transcription"] == {"model": "whisper-small", "language": "zh", "keywords": ["快美"]}
        recognizer = served.runtime.engines.recognizer
        assert isinstance(recognizer, FakeRecognizer)
        await talk.ask()  # a second and a half of silence is not enough now
        await eventually(lambda: bool(recognizer.requests))
        await talk.send("conversation.item.retrieve", item_id="nobody")  # all audio before this was heard
        await talk.error()
        assert "input_audio_buffer.committed" not in talk.kinds
        await talk.send("input_audio_buffer.append", audio=b64(wire(silence(700))))
        await talk.until("response.done")
        request, _ = recognizer.requests[-1]
        assert (request.language, request.hotwords) == ("zh", ("快美",))
        (conversation,) = served.runtime.conversations.values()
        assert conversation.settings.preroll_ms == 100
