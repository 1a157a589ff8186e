"""The realtime protocol over a real WebRTC connection, with conversations on fakes."""

import asyncio
import json
from collections.abc import Callable

import numpy as np
import pytest

from kuaimei.audio.resample import resample
from kuaimei.dialogue.events import SpeechAudio
from kuaimei.server.webrtc import calls
from tests.support.fakes import FakeLanguageModel, FakeRecognizer, FakeSynthesizer, silence
from tests.support.server.app_server import (
    KEY,
    InMemoryRuntime,
    MemoryArchive,
    Served,
    eventually,
    make_settings,
    serving,
)
from tests.support.server.realtime_client import Talk, talking
from tests.support.server.webrtc_client import Caller, calling, calling_engines, offer_of, tone

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
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]
"""The rest of a turn: the audio buffer's own events, whose place among these depends on speed."""
BUFFER = ["output_audio_buffer.started", "output_audio_buffer.stopped"]


class Singer(FakeSynthesizer):
    """Speaks in a tone, 200 ms a character: Opus keeps it."""

    def audio(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        return resample(tone(len(text) * self.character_ms), 16_000, self.sample_rate)


def singer(character_ms: float = 200.0) -> Singer:
    return Singer(delay_s=0.0, character_ms=character_ms)


def loud(caller: Caller) -> list[float]:
    """When sound was heard, one time for each frame that is not silent."""
    return [at for at, pcm in caller.heard if np.abs(pcm.astype(np.int32)).max() > 1000]


async def test_a_whole_turn() -> None:
    async with serving(engines=calling_engines(synthesizer=singer())) as served, calling(served) as caller:
        caller.ask()
        await caller.until("output_audio_buffer.stopped")
        assert [kind for kind in caller.kinds if kind not in BUFFER] == TURN
        assert [kind for kind in caller.kinds if kind in BUFFER] == BUFFER
        done = next(e for e in caller.events if e["type"] == "response.done")
        assert done["response"]["output"][0]["content"] == [{"type": "output_audio", "transcript": REPLY}]
        started, stopped = (next(e for e in caller.events if e["type"] == kind) for kind in BUFFER)
        assert started["response_id"] == stopped["response_id"] == done["response"]["id"]
        # All of it was heard, once and in real time; the client's jitter buffer keeps a little back.
        asked = served.runtime.engines.synthesizer
        assert isinstance(asked, Singer)
        spoken_ms = sum(len(r.text) for r in asked.requests) * asked.character_ms
        await eventually(lambda: len(loud(caller)) * 20 >= spoken_ms - 200)
        assert len(loud(caller)) * 20 <= spoken_ms + 60
        playing = [e["played_ms"] for e in caller.events if e["type"] == "kuaimei.reply.playing"]
        assert playing == sorted(playing)
        assert playing[-1] == pytest.approx(spoken_ms, abs=1.0)
        # The microphone arrived whole: a second of tone with the silence around it.
        (events,) = served.runtime.events.values()
        heard = np.concatenate([e.pcm for e in events if isinstance(e, SpeechAudio)])
        voiced = np.count_nonzero(np.abs(heard.astype(np.int32)) > 1000) / 16_000
        assert voiced == pytest.approx(1.1 * np.mean(np.abs(tone(1000).astype(np.int32)) > 1000), abs=0.1)


async def begun(caller: Caller) -> str:
    """Id of a response that is being heard."""
    caller.ask()
    started = await caller.until("output_audio_buffer.started")
    await eventually(lambda: len(loud(caller)) > 20)
    response: str = started["response_id"]
    return response


def last_played(caller: Caller) -> float:
    """What the track told last; it tells every 200 ms."""
    played: float = [e["played_ms"] for e in caller.events if e["type"] == "kuaimei.reply.playing"][-1]
    return played


async def test_barge_in_silences_the_track_and_counts_what_was_played() -> None:
    model = FakeLanguageModel(reply=REPLY, first_token_s=0.0, token_s=0.0)
    engines = calling_engines(synthesizer=singer(600), language_model=model)  # some ten seconds
    async with serving(engines=engines) as served, calling(served) as caller:
        response = await begun(caller)
        model.hangs_after = 0  # nothing more will be heard
        caller.microphone.say(tone(1500))
        cleared = await caller.until("output_audio_buffer.cleared")
        assert cleared["response_id"] == response
        interrupted = await caller.until("kuaimei.reply.interrupted")
        assert interrupted["reason"] == "barge_in"
        assert len(interrupted["heard_text"]) < len(REPLY)
        assert -1 <= interrupted["heard_ms"] - last_played(caller) <= 221
        # So much was heard and not a frame more: whatever was still to come of the reply is gone.
        await caller.until("input_audio_buffer.committed")
        heard_ms = len(loud(caller)) * 20
        assert interrupted["heard_ms"] - 200 <= heard_ms <= interrupted["heard_ms"] + 60
        await caller.send("conversation.item.retrieve", item_id=interrupted["item_id"])
        item = (await caller.until("conversation.item.retrieved"))["item"]
        assert item["content"][0]["transcript"] == interrupted["heard_text"]


async def test_after_a_cough_the_reply_goes_on() -> None:
    ears = FakeRecognizer(text=lambda pcm: "嗯" if len(pcm) < 16_000 else "你好嗎", delay_s=0.0)
    engines = calling_engines(synthesizer=singer(300), recognizer=ears)
    async with serving(engines=engines) as served, calling(served) as caller:
        response = await begun(caller)
        caller.microphone.say(tone(320))
        await caller.until("output_audio_buffer.cleared")
        await caller.until("kuaimei.reply.held")
        resumed = await caller.until("kuaimei.reply.resumed")
        assert -1 <= resumed["heard_ms"] - last_played(caller) <= 221
        again = await caller.until("output_audio_buffer.started")
        assert again["response_id"] == response
        stopped = await caller.until("output_audio_buffer.stopped")
        assert stopped["response_id"] == response
        playing = [e["played_ms"] for e in caller.events if e["type"] == "kuaimei.reply.playing"]
        assert playing[-1] == pytest.approx(len(REPLY) * 300, abs=2.0)


async def test_the_client_clears_what_it_does_not_want_to_hear() -> None:
    engines = calling_engines(synthesizer=singer(600))
    async with serving(engines=engines) as served, calling(served) as caller:
        response = await begun(caller)
        await caller.send("output_audio_buffer.clear")
        cleared = await caller.until("output_audio_buffer.cleared")
        assert cleared["response_id"] == response
        await caller.send("session.update", session={"output_modalities": ["text"]})
        await caller.until("session.updated")
        kinds = [e["type"] for e in caller.events]
        assert kinds.count("output_audio_buffer.cleared") == 1
        content = [{"type": "input_text", "text": "你是誰？"}]
        await caller.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content}
        )
        await caller.send("response.create")
        done = await caller.until("response.done")
        assert done["response"]["output"][0]["content"] == [{"type": "output_text", "text": REPLY}]
        await caller.send("output_audio_buffer.clear")  # nothing to be heard: told all the same
        cleared = await caller.until("output_audio_buffer.cleared")
        assert cleared["response_id"] == done["response"]["id"]


async def test_hanging_up() -> None:
    async with serving(engines=calling_engines()) as served, calling(served) as caller:
        session = caller.events[0]["session"]["id"]
        async with served.client() as client:
            await client.realtime.calls.hangup(caller.location.rsplit("/", 1)[1])
        async with asyncio.timeout(10):
            await caller.closed.wait()
        await eventually(lambda: session in served.runtime.ended)
        again = await offer_of(served, "", "/no")
        assert again.status_code in {404, 405}


async def test_a_client_that_leaves_frees_its_place() -> None:
    settings = make_settings(max_sessions=1, max_waiting=0)
    async with serving(InMemoryRuntime(settings=settings), engines=calling_engines()) as served:
        async with calling(served) as caller:
            session = caller.events[0]["session"]["id"]
            async with Caller() as other:
                full = await offer_of(served, await other.offer())
            assert full.status_code == 503
            assert full.json()["error"]["code"] == "too_many_sessions"
            assert full.headers["retry-after"]
        await eventually(lambda: session in served.runtime.ended)
        async with calling(served) as caller:
            assert caller.events[0]["type"] == "session.created"


async def test_a_server_that_stops_ends_its_calls() -> None:
    async with calling_server() as (served, caller):
        session = caller.events[0]["session"]["id"]
    assert session in served.runtime.ended
    assert caller.closed.is_set()


class calling_server:  # noqa: N801 (used as a function)
    """A call whose server stops first."""

    async def __aenter__(self) -> tuple[Served, Caller]:
        self._server = serving(engines=calling_engines())
        served = await self._server.__aenter__()
        self._call = calling(served)
        self._caller = await self._call.__aenter__()
        return served, self._caller

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__(None, None, None)
        async with asyncio.timeout(10):
            await self._caller.closed.wait()
        await self._call.__aexit__(None, None, None)


async def test_two_calls_do_not_cross() -> None:
    model = FakeLanguageModel(
        reply=lambda req: f"你說{req.messages[-1].content}。", first_token_s=0.01, token_s=0.001
    )
    async with serving(engines=calling_engines(language_model=model)) as served:

        async def ask(n: int) -> tuple[str, str]:
            async with calling(served) as caller:
                content = [{"type": "input_text", "text": f"第{n}句"}]
                item = {"type": "message", "role": "user", "content": content}
                await caller.send("conversation.item.create", item=item)
                await caller.send("response.create")
                await caller.until("output_audio_buffer.stopped")
                (done,) = [e for e in caller.events if e["type"] == "response.done"]
                responses = {e["response_id"] for e in caller.events if "response_id" in e}
                assert responses == {done["response"]["id"]}
                session = caller.events[0]["session"]["id"]
                return session, done["response"]["output"][0]["content"][0]["transcript"]

        answers = await asyncio.gather(*(ask(n) for n in range(3)))
    assert [text for _, text in answers] == [f"你說第{n}句。" for n in range(3)]
    assert len({session for session, _ in answers}) == 3


async def test_the_official_client_begins_a_call_with_a_session() -> None:
    async with serving(engines=calling_engines()) as served, Caller() as caller:
        async with served.client() as client:
            answer = await client.realtime.calls.with_raw_response.create(
                sdp=await caller.offer(),
                session={
                    "type": "realtime",
                    "model": "tiny",
                    "instructions": "說臺語",
                    "audio": {"output": {"voice": "fake_two"}},
                },
            )
        assert answer.status_code == 201
        await caller.accept(answer.text, answer.headers["location"])
        created = await caller.until("session.created")
        assert created["session"]["instructions"] == "說臺語"
        assert created["session"]["audio"]["output"]["voice"] == "fake_two"


def without(*words: str) -> Callable[[str], str]:
    return lambda sdp: "\r\n".join(line for line in sdp.split("\r\n") if not any(w in line for w in words))


def audio_only(sdp: str) -> str:
    return sdp[: sdp.index("m=application")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda sdp: "", "audio"),
        (lambda sdp: "hello", "audio"),
        (lambda sdp: sdp.replace("m=audio", "m=odd"), ""),
        (audio_only, "data channel"),
        (lambda sdp: sdp + sdp[sdp.index("m=audio") : sdp.index("m=application")], "exactly one audio"),
        (without("opus"), "Opus"),
        (without("ice-ufrag"), ""),
        (without("fingerprint"), ""),
        (lambda sdp: sdp + "a=x:" + "y" * 70_000, "longer"),
        (lambda sdp: "v=0\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 5, ""),
    ],
)
async def test_an_offer_that_no_call_can_come_of(change: Callable[[str], str], told: str) -> None:
    async with serving(engines=calling_engines()) as served, Caller() as caller:
        answer = await offer_of(served, change(await caller.offer()))
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("invalid_sdp", "sdp")
        assert told in error["message"]
        async with calling(served):  # and nobody else is worse off
            pass


async def test_what_else_can_be_wrong_with_a_request() -> None:
    async with Caller() as caller:
        sdp = await caller.offer()
    async with serving(engines=calling_engines()) as served:
        for query, status, code in (
            ("?session=sess_none", 404, "session_not_found"),
            ("?session=../etc", 404, "session_not_found"),
        ):
            answer = await offer_of(served, sdp, query)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        foreign = await offer_of(served, sdp, origin="https://evil.example")
        assert foreign.status_code == 403
        plain = await offer_of(served, sdp, **{"content-type": "text/plain"})
        assert (plain.status_code, plain.json()["error"]["code"]) == (415, "unsupported_media_type")
        async with served.client() as client:
            for session, code in (({"audio": {"output": {"voice": "nobody"}}}, "voice_not_found"),):
                raw = await client._client.post(
                    f"{served.url}/v1/realtime/calls",
                    files={"sdp": (None, sdp), "session": (None, json.dumps(session))},
                )
                assert (raw.status_code, raw.json()["error"]["code"]) == (400, code)
            broken = await client._client.post(
                f"{served.url}/v1/realtime/calls", files={"sdp": (None, sdp), "session": (None, "{")}
            )
            assert broken.json()["error"]["code"] == "invalid_json"
            unknown = await client._client.post(f"{served.url}/v1/realtime/calls/rtc_none/hangup")
            assert unknown.status_code == 404
    settings = make_settings(key=KEY)
    async with serving(InMemoryRuntime(settings=settings)) as served:
        assert (await offer_of(served, sdp)).status_code == 401
    settings = make_settings(webrtc=False)
    async with serving(InMemoryRuntime(settings=settings)) as served:
        off = await offer_of(served, sdp)
        assert (off.status_code, off.json()["error"]["code"]) == (503, "webrtc_unavailable")


async def test_a_client_that_never_connects_does_not_keep_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_CONNECT_S", 0.2)
    settings = make_settings(max_sessions=1, max_waiting=0)
    async with serving(InMemoryRuntime(settings=settings), engines=calling_engines()) as served:
        async with Caller() as caller:
            assert (await offer_of(served, await caller.offer())).status_code == 201
        monkeypatch.undo()
        async with asyncio.timeout(10):
            while True:
                async with Caller() as other:
                    answer = await offer_of(served, await other.offer())
                if answer.status_code == 201:
                    break
                await asyncio.sleep(0.05)


async def test_wrong_events_are_answered_on_the_channel() -> None:
    async with serving(engines=calling_engines()) as served, calling(served) as caller:
        caller.channel.send("{")
        assert (await caller.until("error"))["error"]["code"] == "invalid_json"
        caller.channel.send(b"\x00\x01")
        assert (await caller.until("error"))["error"]["code"] == "invalid_frame"
        await caller.send("no.such.event", event_id="mine")
        assert (await caller.until("error"))["error"]["event_id"] == "mine"
        second = caller.peer.createDataChannel("oai-events")
        await eventually(lambda: second.readyState == "open")
        second.send(json.dumps({"type": "response.create"}))  # nobody reads it
        caller.ask()
        await caller.until("response.done")


async def test_a_quiet_call_is_let_go_and_told_why() -> None:
    settings = make_settings(idle_timeout_s=1.0)
    runtime = InMemoryRuntime(settings=settings, engines=calling_engines())
    async with serving(runtime) as served, calling(served) as caller:
        goodbye = await caller.until("kuaimei.goodbye")
        assert goodbye["code"] == 1000
        assert "no activity" in goodbye["reason"]
        async with asyncio.timeout(10):
            await caller.closed.wait()


async def test_an_earlier_session_goes_on_and_is_taken_over_from_a_lost_connection() -> None:
    archive = MemoryArchive()
    archive.put("sess_old", "我叫小明", "你好小明")
    settings = make_settings(max_sessions=1, max_waiting=0)
    runtime = InMemoryRuntime(settings=settings, store=archive, engines=calling_engines())
    async with serving(runtime) as served, talking(served, "?session=sess_old") as talk:
        async with Caller() as refused:
            busy = await offer_of(served, await refused.offer(), "?session=sess_old")
        assert (busy.status_code, busy.json()["error"]["code"]) == (409, "session_in_use")
        async with calling(served, "?session=sess_old&takeover=true") as caller:
            assert caller.events[0]["session"]["id"] == "sess_old"
            assert await last_error(talk) == "session_taken_over"
            caller.ask()
            timing = await caller.until("kuaimei.turn.timing")
            assert timing["turn"] == 2
            model = served.runtime.engines.language_model
            assert isinstance(model, FakeLanguageModel)
            assert [m.content for m in model.requests[-1].messages[1:]] == ["我叫小明", "你好小明", "你好嗎"]
            async with talking(served, "?session=sess_old&takeover=true"):
                goodbye = await caller.until("kuaimei.goodbye")
                assert (goodbye["code"], goodbye["error"]) == (1008, "session_taken_over")
        assert archive.kept["sess_old"].client == {}  # as it began


async def last_error(talk: Talk) -> str:
    error: str = (await talk.until("error"))["error"]["code"]
    return error


async def test_a_call_waits_in_the_queue_and_hears_nothing_of_what_was_said_there() -> None:
    settings = make_settings(max_sessions=1, max_waiting=2)
    runtime = InMemoryRuntime(settings=settings, engines=calling_engines())
    async with serving(runtime) as served:
        async with talking(served), calling(served, greeted=False) as first:
            queue = await first.until("kuaimei.queue")
            assert (queue["place"], queue["capacity"]) == (1, 1)
            async with calling(served, greeted=False) as second:
                assert (await second.until("kuaimei.queue"))["place"] == 2
                await first.close()
                assert (await second.until("kuaimei.queue", lambda e: e["place"] == 1))["waiting"] == 1
                second.microphone.say(tone(1200), silence(800))
                await asyncio.sleep(0.5)
        async with calling(served) as caller:
            assert "kuaimei.queue" not in caller.kinds
