"""What the client is told, step by step, without sockets."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import (
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyPaused,
    ReplyResumed,
    ReplyStarted,
    ReplyText,
    SpeechRejected,
    SpeechStarted,
    TurnEnded,
    TurnFailed,
    TurnLatencies,
    TurnMetrics,
)
from kuaimei.rendering.broadcast import Ready
from kuaimei.server.realtime.config import SessionConfig
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.realtime.server_events import ServerEventEmitter
from kuaimei.settings import DialogueSettings, Settings
from kuaimei.store.rows import Boundary, Rendering
from tests.support.fakes import fake_engines, play, said, silence

SECOND = np.ones(24_000, np.int16)


def make_gateway(**settings: Any) -> ServerEventEmitter:
    config = SessionConfig(
        settings=Settings(dialogue=DialogueSettings(**settings)),
        voices=("one",),
        models=("kuaimei",),
        recognizer="whisper",
        voice="one",
    )
    return ServerEventEmitter("sess_1", SendQueue(10_000_000), config)


def waiting(gateway: ServerEventEmitter) -> list[dict[str, Any]]:
    """What waits to be sent, taken out."""
    letters = list(gateway._outbox._letters)
    gateway._outbox._letters.clear()
    return [json.loads(letter.text) for letter in letters]


def kinds(gateway: ServerEventEmitter) -> list[str]:
    return [event["type"] for event in waiting(gateway)]


def begun(gateway: ServerEventEmitter, audio: bool = True) -> None:
    gateway(ReplyStarted(1, 0.0, "reply_1"))
    gateway(ReplyText(1, 0.0, "reply_1", "好的。"))
    if audio:
        gateway(ReplyAudio(1, 0.0, "reply_1", SECOND, 24_000, 0.0))


def test_held_audio_is_thrown_away_and_comes_again() -> None:
    gateway = make_gateway()
    begun(gateway)
    gateway(ReplyPaused(1, 0.3, "reply_1", 300.0))
    told = kinds(gateway)
    assert "response.output_audio.delta" not in told
    assert told[-1] == "kuaimei.reply.held"
    gateway(ReplyFinished(1, 0.5, "reply_1", "好的。", 1000.0))
    assert kinds(gateway) == []  # the audio is still to come
    gateway(ReplyResumed(1, 0.9, "reply_1", 300.0))
    gateway(ReplyAudio(1, 0.9, "reply_1", SECOND[:16_800], 24_000, 300.0))
    told = kinds(gateway)
    assert told[:2] == ["kuaimei.reply.resumed", "response.output_audio.delta"]
    assert told[-1] == "response.done"


def test_after_its_end_a_resumed_reply_sounds_without_ending_twice() -> None:
    gateway = make_gateway()
    begun(gateway)
    gateway(ReplyFinished(1, 0.1, "reply_1", "好的。", 1000.0))
    assert kinds(gateway).count("response.done") == 1
    gateway(ReplyPaused(1, 0.3, "reply_1", 300.0))
    gateway(ReplyResumed(1, 0.9, "reply_1", 300.0))
    gateway(ReplyAudio(1, 0.9, "reply_1", SECOND[:16_800], 24_000, 300.0))
    told = kinds(gateway)
    assert set(told) == {"kuaimei.reply.held", "kuaimei.reply.resumed", "response.output_audio.delta"}


@pytest.mark.parametrize(
    ("reason", "told"), [("barge_in", "turn_detected"), ("cancelled", "client_cancelled")]
)
def test_an_interrupted_reply(reason: Any, told: str) -> None:
    gateway = make_gateway()
    begun(gateway)
    gateway(ReplyInterrupted(1, 0.3, "reply_1", 300.0, "好", reason))
    events = waiting(gateway)
    assert "response.output_audio.delta" not in [e["type"] for e in events]
    assert events[-1]["response"]["status"] == "cancelled"
    assert events[-1]["response"]["status_details"] == {"type": "cancelled", "reason": told}
    assert not gateway.responding
    gateway(ReplyInterrupted(1, 0.4, "reply_1", 300.0, "好", reason))
    assert "response.done" not in kinds(gateway)


def test_a_late_chunk_of_an_old_turn_is_not_sent() -> None:
    gateway = make_gateway()
    begun(gateway)
    gateway(ReplyInterrupted(1, 0.3, "reply_1", 300.0, "", "barge_in"))
    gateway(ReplyStarted(2, 0.5, "reply_2"))
    kinds(gateway)
    gateway(ReplyAudio(1, 0.6, "reply_1", SECOND, 24_000, 0.0))
    gateway(ReplyPaused(1, 0.6, "reply_1", 0.0))
    assert kinds(gateway) == []


def test_an_open_response_ends_before_the_next_begins() -> None:
    gateway = make_gateway()
    begun(gateway)
    gateway(ReplyStarted(2, 0.5, "reply_2"))
    told = kinds(gateway)
    assert told.index("response.done") < len(told) - 1 - told[::-1].index("response.created")


def test_a_turn_that_ends_without_its_reply_ends_the_response() -> None:
    gateway = make_gateway()
    gateway.open_reply(1, gateway.config.reply_options())
    gateway(TurnMetrics(1, 1.0, TurnLatencies()))
    assert waiting(gateway)[-1]["response"]["status"] == "cancelled"


def test_usage_counts_what_was_written_and_estimates_what_was_read() -> None:
    gateway = make_gateway(system_prompt="一二三四五")
    begun(gateway)
    gateway(ReplyFinished(1, 0.1, "reply_1", "好的。", 1000.0))
    usage = waiting(gateway)[-1]["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (5, 1, 6)


def test_sounds_that_were_no_turn() -> None:
    gateway = make_gateway()
    gateway(SpeechStarted(1, 0.0, 320.0))
    gateway(SpeechRejected(1, 0.2, "嗯"))
    started, stopped, dropped = waiting(gateway)
    assert started["item_id"] == stopped["item_id"] == dropped["item_id"]
    assert (stopped["type"], dropped["text"]) == ("input_audio_buffer.speech_stopped", "嗯")
    gateway(SpeechStarted(1, 0.5, 900.0))  # its number is given again
    assert waiting(gateway)[0]["item_id"] != started["item_id"]


def test_more_words_of_the_same_turn_are_another_item() -> None:
    gateway = make_gateway()
    for _ in range(2):
        gateway(SpeechStarted(1, 0.0, 0.0))
        gateway(TurnEnded(1, 1.0, 0.9, 1500.0, "silence"))
    added = [e for e in waiting(gateway) if e["type"] == "conversation.item.added"]
    assert added[0]["item"]["id"] != added[1]["item"]["id"]
    assert added[1]["previous_item_id"] == added[0]["item"]["id"]


def test_failures_before_and_after_the_transcript() -> None:
    gateway = make_gateway()
    gateway(TurnEnded(1, 1.0, 0.9, 1500.0, "silence"))
    gateway(TurnFailed(1, 1.1, "recognition", "unavailable", "no ears", "抱歉"))
    failed, told = waiting(gateway)[-2:]
    assert failed["type"] == "conversation.item.input_audio_transcription.failed"
    assert failed["error"]["code"] == "unavailable"
    assert (told["type"], told["apology"]) == ("kuaimei.turn.failed", "抱歉")
    begun(gateway)
    gateway(ReplyFinished(1, 1.2, "reply_1", "抱歉", 1000.0))
    assert waiting(gateway)[-1]["response"]["status"] == "completed"  # the apology is a reply like any other
    gateway(TurnFailed(2, 2.0, "thinking", "engine", "no head", "抱歉"))
    gateway(ReplyFinished(2, 2.1, "reply_2", "抱歉", 0.0))
    done = waiting(gateway)[-1]["response"]
    assert (done["status"], done["status_details"]["error"]["message"]) == ("failed", "no head")


def test_transcription_turned_off() -> None:
    gateway = make_gateway()
    gateway.config = gateway.config.update({"audio": {"input": {"transcription": None}}})
    gateway(TurnEnded(1, 1.0, 0.9, 1500.0, "silence"))
    kinds(gateway)
    gateway(FinalTranscript(1, 1.1, "你好", "zh"))
    assert kinds(gateway) == []


def test_turns_given_up_are_forgotten() -> None:
    gateway = make_gateway()
    for turn in range(1, 200):
        gateway(SpeechStarted(turn, 0.0, 0.0))
        gateway(TurnEnded(turn, 1.0, 0.9, 1500.0, "silence"))
        gateway(SpeechStarted(turn, 0.0, 0.0))
    assert len(gateway._user_items) < 20
    assert len(gateway._ended) < 20
    assert len(gateway._started_ms) < 20


def test_a_whole_conversation_with_a_barge_in(
    on_virtual_time: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    events: list[dict[str, Any]] = []

    async def talk() -> None:
        gateway = make_gateway()

        async def client() -> None:
            while True:
                events.append(json.loads(await gateway._outbox.take() or ""))

        reading = asyncio.ensure_future(client())
        async with Conversation(fake_engines(), DialogueSettings(), "sess_1", [gateway]) as conversation:
            await play(conversation, silence(300), said("今天天氣如何"), silence(3000))
            await play(conversation, said("等一下我想問別的"), silence(1500))
            await play(conversation, silence(12_000))
            await conversation.wait_idle()
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    on_virtual_time(talk())
    done = [e["response"] for e in events if e["type"] == "response.done"]
    assert [d["status"] for d in done][-1] == "completed"
    interrupted = [e for e in events if e["type"] == "kuaimei.reply.interrupted"]
    assert len(interrupted) == 1
    heard = [
        e["transcript"]
        for e in events
        if e["type"] == "conversation.item.input_audio_transcription.completed"
    ]
    assert heard == ["今天天氣如何", "等一下我想問別的"]
    captions = [e["text"] for e in events if e["type"] == "kuaimei.caption"]
    assert len(captions) > 5
    assert len([e for e in events if e["type"] == "kuaimei.turn.timing"]) == 2
    assert not [e for e in events if e["type"] == "error"]


def test_the_second_rendering_is_told_of_the_reply_it_belongs_to() -> None:
    gateway = make_gateway()
    clauses = (Boundary(0, 0.0, 800.0), Boundary(1, 800.0, 2000.0))
    rendering = Rendering("ready", "one", "kokoro 1", 2000.0, 24_000, 5000, "ab", clauses, None)
    begun(gateway)
    gateway(ReplyFinished(1, 1.0, "reply_1", "好", 1000.0))
    reply = gateway.reply
    assert reply is not None
    gateway(ReplyStarted(2, 2.0, "reply_2"))  # the conversation has gone on
    waiting(gateway)
    gateway.hq_ready(Ready("sess_1", 1, "utt_a", rendering))
    (told,) = waiting(gateway)
    del told["event_id"]
    assert told == {
        "type": "kuaimei.reply.hq_ready",
        "turn": 1,
        "response_id": reply.id,
        "item_id": reply.item_id,
        "recording": "utt_a",
        "audio": "/api/recordings/utt_a/audio?tier=hq",
        "duration_ms": 2000.0,
        "clauses": [
            {"index": 0, "start_ms": 0.0, "end_ms": 800.0},
            {"index": 1, "start_ms": 800.0, "end_ms": 2000.0},
        ],
    }


def test_the_second_rendering_of_a_reply_from_before_goes_by_its_own_id() -> None:
    gateway = make_gateway()
    rendering = Rendering("ready", "one", "kokoro 1", 2000.0, 24_000, 5000, "ab", (), None)
    gateway.hq_ready(Ready("sess_1", 7, "utt_b", rendering))
    (told,) = waiting(gateway)
    assert (told["response_id"], told["item_id"]) == (None, "utt_b")


async def test_an_utterance_that_became_too_long_is_told() -> None:
    gateway = make_gateway(max_utterance_s=30.0)
    gateway(SpeechStarted(1, 0.0, 0.0))
    gateway(TurnEnded(1, 30.0, 30.0, 30_000.0, "limit"))
    told = {event["type"]: event for event in waiting(gateway)}
    limit = told["kuaimei.utterance.limit"]
    assert (limit["turn"], limit["limit_s"]) == (1, 30.0)
    assert limit["item_id"] == told["input_audio_buffer.committed"]["item_id"]
