"""The realtime protocol over a real WebSocket, with conversations on fakes."""

import asyncio
import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from openai.types.realtime import RealtimeServerEvent

from kuaimei.dialogue.events import UserText
from kuaimei.errors import EngineError
from tests.support.fakes import FakeLanguageModel, FakeRecognizer, FakeSynthesizer, said, silence
from tests.support.server.app_server import eventually, make_settings, quick_engines, serving
from tests.support.server.realtime_client import Talk, audio_of, b64, question, talking, wire

REPLY = "好的。今天天氣很好，適合出門走走。"

TURN = [
    "session.created",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


async def test_the_official_client_has_a_conversation() -> None:
    async with serving() as served, served.client() as client:
        events: list[RealtimeServerEvent] = []
        async with client.realtime.connect(model="kuaimei") as connection:
            await connection.session.update(
                session={
                    "type": "realtime",
                    "instructions": "請簡短回答。",
                    "audio": {
                        "input": {"turn_detection": {"type": "server_vad"}},
                        "output": {"voice": "fake_two", "speed": 1.1},
                    },
                }
            )
            await connection.input_audio_buffer.append(audio=b64(question()))
            async with asyncio.timeout(20):
                async for event in connection:
                    events.append(event)
                    if event.type == "response.done":
                        break
        done = events[-1]
        assert done.type == "response.done"
        assert done.response.status == "completed"
        assert done.response.usage is not None
        assert done.response.usage.output_tokens == 9
        texts = [e.delta for e in events if e.type == "response.output_audio_transcript.delta"]
        assert "".join(texts) == REPLY
        heard = [
            e.transcript for e in events if e.type == "conversation.item.input_audio_transcription.completed"
        ]
        assert heard == ["你好嗎"]
        audio = b"".join(base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta")
        assert len(audio) / 48_000 == pytest.approx(0.1 * len(REPLY), abs=0.01)
        (updated,) = [e for e in events if e.type == "session.updated"]
        assert updated.session.type == "realtime"
        assert updated.session.instructions == "請簡短回答。"
    engines = served.runtime.engines
    assert isinstance(engines.synthesizer, FakeSynthesizer)
    assert {(r.voice_id, r.speed) for r in engines.synthesizer.requests} == {("fake_two", 1.1)}


async def test_the_official_client_types() -> None:
    async with serving() as served, served.client() as client:
        async with client.realtime.connect(model="kuaimei") as connection:
            await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            await connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "你是誰？"}],
                }
            )
            await connection.response.create()
            text = ""
            async with asyncio.timeout(20):
                async for event in connection:
                    if event.type == "response.output_text.delta":
                        text += event.delta
                    if event.type == "response.done":
                        break
        assert text == REPLY
    (session,) = served.runtime.events.values()
    assert [e.text for e in session if isinstance(e, UserText)] == ["你是誰？"]


async def test_every_event_of_a_spoken_turn() -> None:
    async with serving() as served, talking(served) as talk:
        await talk.ask()
        done = await talk.until("response.done")
        assert talk.kinds == TURN
        kinds = {e["type"] for e in talk.events}
        assert {"kuaimei.caption", "kuaimei.state", "kuaimei.clause"} <= kinds
        timing = await talk.until("kuaimei.turn.timing")
        assert timing["turn"] == 1
        assert timing["endpoint_ms"] > 0
        item = done["response"]["output"][0]
        assert item["content"] == [{"type": "output_audio", "transcript": REPLY}]
        await talk.send("conversation.item.retrieve", item_id=item["id"])
        assert (await talk.until("conversation.item.retrieved"))["item"] == item
        engines = served.runtime.engines
        assert isinstance(engines.synthesizer, FakeSynthesizer)
        spoken = [engines.synthesizer.audio(r.text) for r in engines.synthesizer.requests]
        assert np.array_equal(audio_of(talk.events), np.concatenate(spoken))


@pytest.mark.parametrize("fmt", ["audio/pcmu", "audio/pcma"])
async def test_telephone_audio(fmt: str) -> None:
    async with serving() as served, talking(served) as talk:
        audio = {"input": {"format": {"type": fmt}}, "output": {"format": {"type": fmt}}}
        await talk.send("session.update", session={"type": "realtime", "audio": audio})
        updated = await talk.until("session.updated")
        assert updated["session"]["audio"]["input"]["format"] == {"type": fmt}
        loud, idle_monitor = (b"\x9f", b"\xff") if fmt == "audio/pcmu" else (b"\xb5", b"\xd5")
        await talk.send("input_audio_buffer.append", audio=b64(loud * 8000 + idle_monitor * 12000))
        await talk.until("response.done")
        deltas = [e["delta"] for e in talk.events if e["type"] == "response.output_audio.delta"]
        samples = sum(len(base64.b64decode(d)) for d in deltas)
        assert samples / 8000 == pytest.approx(0.1 * len(REPLY), abs=0.02)


async def test_push_to_talk() -> None:
    async with serving() as served, talking(served) as talk:
        await talk.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
        updated = await talk.until("session.updated")
        assert updated["session"]["audio"]["input"]["turn_detection"] is None
        await talk.send("input_audio_buffer.commit", event_id="too-early")
        error = await talk.error()
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "too-early")
        await talk.send("input_audio_buffer.append", audio=b64(wire(silence(200), said("一二三"))))
        await talk.send("input_audio_buffer.commit")
        await talk.send("response.create", response={"metadata": {"mine": "yes"}})
        done = await talk.until("response.done")
        assert done["response"]["metadata"] == {"mine": "yes"}
        assert done["response"]["status"] == "completed"
        assert "input_audio_buffer.speech_started" not in talk.kinds
        assert talk.kinds.index("input_audio_buffer.committed") < talk.kinds.index("response.created")
        model = served.runtime.engines.language_model
        assert isinstance(model, FakeLanguageModel)
        assert model.requests[0].messages[-1].content == "你好嗎"


async def test_commit_without_a_wish_for_an_answer() -> None:
    async with serving() as served, talking(served) as talk:
        await talk.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
        await talk.send("input_audio_buffer.append", audio=b64(wire(said("一二三"))))
        await talk.send("input_audio_buffer.commit")
        await talk.until("kuaimei.turn.timing")
        assert "response.created" not in talk.kinds
        await talk.send("input_audio_buffer.append", audio=b64(wire(said("一二三"))))
        await talk.send("input_audio_buffer.clear")
        await talk.until("input_audio_buffer.cleared")
        await talk.send("input_audio_buffer.commit")
        assert (await talk.error())["code"] == "input_audio_buffer_commit_empty"


async def test_a_transcription_session_only_listens() -> None:
    async with serving() as served, talking(served) as talk:
        await talk.send("session.update", session={"type": "transcription"})
        assert (await talk.until("session.updated"))["session"]["type"] == "transcription"
        await talk.ask()
        await talk.until("conversation.item.input_audio_transcription.completed")
        await talk.until("kuaimei.turn.timing")
        assert not [k for k in talk.kinds if k.startswith("response")]


def slow_voice() -> FakeSynthesizer:
    """A reply of some ten seconds."""
    return FakeSynthesizer(delay_s=0.0, character_ms=600.0)


async def started(talk: Talk) -> str:
    """The id of a reply that has begun to sound."""
    await talk.ask()
    delta = await talk.until("response.output_audio.delta")
    response: str = delta["response_id"]
    return response


async def test_barge_in() -> None:
    async with serving(engines=quick_engines(synthesizer=slow_voice())) as served, talking(served) as talk:
        await talk.ask()
        done = await talk.until("response.done")  # all of it was handed over, and is still being played
        before = len(talk.events)
        await talk.send("input_audio_buffer.append", audio=b64(wire(said("一二三四五六七八九十"))))
        held = await talk.until("kuaimei.reply.held")
        assert held["response_id"] == done["response"]["id"]
        interrupted = await talk.until("kuaimei.reply.interrupted")
        assert interrupted["reason"] == "barge_in"
        assert len(interrupted["heard_text"]) < len(REPLY)
        assert "input_audio_buffer.speech_started" in [e["type"] for e in talk.events[before:]]
        assert "response.output_audio.delta" not in [e["type"] for e in talk.events[before:]]
        await talk.send("conversation.item.retrieve", item_id=held["item_id"])
        item = (await talk.until("conversation.item.retrieved"))["item"]
        assert item["content"][0]["transcript"] == interrupted["heard_text"]


async def test_a_backchannel_does_not_end_the_reply() -> None:
    ears = FakeRecognizer(text=lambda pcm: "嗯" if len(pcm) < 16_000 else "你好嗎", delay_s=0.0)
    engines = replace(quick_engines(synthesizer=slow_voice(), recognizer=ears), captioner=None)
    async with serving(engines=engines) as served, talking(served) as talk:
        response = await started(talk)
        await talk.until("response.done")
        await talk.send("input_audio_buffer.append", audio=b64(wire(said("嗯嗯"), silence(1500))))
        held = await talk.until("kuaimei.reply.held")
        resumed = await talk.until("kuaimei.reply.resumed")
        assert resumed["heard_ms"] == pytest.approx(held["heard_ms"])
        again = await talk.until("response.output_audio.delta")
        assert again["response_id"] == response
        dropped = [e for e in talk.events if e["type"] == "kuaimei.speech.dropped"]
        assert [d["text"] for d in dropped] == ["嗯"]


async def test_truncation_tells_what_was_played() -> None:
    async with serving(engines=quick_engines(synthesizer=slow_voice())) as served, talking(served) as talk:
        await talk.ask()
        done = await talk.until("response.done")
        item_id = done["response"]["output"][0]["id"]
        await talk.send("input_audio_buffer.append", audio=b64(wire(said("一二三四五六七八九十"))))
        await talk.until("kuaimei.reply.interrupted")
        await talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1900)
        truncated = await talk.until("conversation.item.truncated")
        assert truncated["audio_end_ms"] == 1900
        await talk.send("input_audio_buffer.append", audio=b64(wire(silence(1500))))
        await talk.until("response.done")
        model = served.runtime.engines.language_model
        assert isinstance(model, FakeLanguageModel)
        said_before = [m.content for m in model.requests[-1].messages if m.role == "assistant"]
        assert said_before == ["好的。"]  # 600 ms a character
        await talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=10)
        assert "latest reply" in (await talk.error())["message"]


async def test_truncation_beyond_the_end_is_refused() -> None:
    async with serving() as served, talking(served) as talk:
        await talk.ask()
        done = await talk.until("response.done")
        item_id = done["response"]["output"][0]["id"]
        await talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=99_000)
        assert (await talk.error())["param"] == "audio_end_ms"
        await talk.send("conversation.item.truncate", item_id="nobody", content_index=0, audio_end_ms=1)
        assert (await talk.error())["code"] == "item_not_found"


async def test_cancel_while_thinking_and_while_speaking() -> None:
    model = FakeLanguageModel(first_token_s=0, token_s=0, hangs_after=0)
    async with serving(engines=quick_engines(language_model=model)) as served, talking(served) as talk:
        await talk.send("response.cancel")
        assert (await talk.error())["code"] == "response_cancel_not_active"
        await talk.send("response.create")
        created = await talk.until("response.created")
        await talk.send("response.create", event_id="second")
        error = await talk.error()
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "second"
        await talk.send("response.cancel", response_id="resp_other")
        assert (await talk.error())["code"] == "response_cancel_not_active"
        await talk.send("response.cancel", response_id=created["response"]["id"])
        done = await talk.until("response.done")
        assert done["response"]["id"] == created["response"]["id"]
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        model.hangs_after = 4
        await talk.send("response.create")
        await talk.until("response.output_audio_transcript.delta")
        await talk.send("response.cancel")
        done = await talk.until("response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["output"][0]["status"] == "incomplete"
        model.hangs_after = None
        await talk.send("response.create")
        done = await talk.until("response.done")
        assert done["response"]["status"] == "completed"
        assert model.opened == model.closed


async def test_a_failed_turn_is_told_and_the_next_one_works() -> None:
    model = FakeLanguageModel(first_token_s=0, token_s=0, failure=EngineError("the model broke"))
    async with serving(engines=quick_engines(language_model=model)) as served, talking(served) as talk:
        await talk.ask()
        done = await talk.until("response.done")
        assert done["response"]["status"] == "failed"
        assert done["response"]["status_details"]["error"]["code"] == "engine"
        failed = [e for e in talk.events if e["type"] == "kuaimei.turn.failed"]
        assert [(f["stage"], f["message"]) for f in failed] == [("thinking", "the model broke")]
        assert len(audio_of(talk.events))  # the apology is spoken
        model.failure = None
        await talk.ask()
        done = await talk.until("response.done")
        assert done["response"]["status"] == "completed"


async def test_recognition_that_fails_is_told() -> None:
    ears = FakeRecognizer(delay_s=0, failure=EngineError("the ears broke"))
    async with serving(engines=quick_engines(recognizer=ears)) as served, talking(served) as talk:
        await talk.ask()
        failed = await talk.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["message"] == "the ears broke"
        await talk.until("response.done")


async def test_two_sessions_do_not_cross() -> None:
    model = FakeLanguageModel(
        reply=lambda req: f"你說{req.messages[-1].content}。", first_token_s=0.01, token_s=0.001
    )
    async with serving(engines=quick_engines(language_model=model)) as served:

        async def ask(n: int) -> tuple[str, str]:
            async with talking(served) as talk:
                session = talk.events[0]["session"]["id"]
                content = [{"type": "input_text", "text": f"第{n}句"}]
                item = {"type": "message", "role": "user", "content": content}
                await talk.send("conversation.item.create", item=item)
                await talk.send("response.create")
                done = await talk.until("response.done")
                return session, done["response"]["output"][0]["content"][0]["transcript"]

        answers = await asyncio.gather(*(ask(n) for n in range(6)))
    assert [text for _, text in answers] == [f"你說第{n}句。" for n in range(6)]
    assert len({session for session, _ in answers}) == 6


async def test_the_conversation_ends_with_its_connection() -> None:
    model = FakeLanguageModel(first_token_s=0, token_s=0, hangs_after=3)
    async with serving(engines=quick_engines(language_model=model)) as served:
        async with talking(served) as talk:
            await talk.send("response.create")
            await talk.until("response.created")
        (conversation,) = served.runtime.conversations.values()
        await eventually(lambda: model.closed > 0)
        assert conversation.state == "listening"


async def test_a_server_that_stops_ends_its_conversations() -> None:
    async with serving() as served, talking(served) as talk:
        served_events = talk.socket
    assert served_events.close_code is not None
    settings = make_settings(dialogue={"language": "zh"})
    runtime = replace(served.runtime, settings=settings)
    async with serving(runtime) as again, talking(again) as talk:
        transcription = talk.events[0]["session"]["audio"]["input"]["transcription"]
        assert transcription == {"model": "whisper-small", "language": "zh"}
        assert json.dumps(talk.events[0]).count("secret") == 0
