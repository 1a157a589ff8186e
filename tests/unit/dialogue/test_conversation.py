"""A conversation as a whole, and what it is told and tells."""

import asyncio
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import (
    CaptionUpdated,
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyText,
    SegmentTranscribed,
    SpeechAudio,
    SpeechStarted,
    StateChanged,
    TurnEnded,
    TurnMetrics,
)
from kuaimei.dialogue.turn import ReplyOptions
from kuaimei.engines.types import Message
from kuaimei.settings import DialogueSettings
from tests.support.fakes import (
    EventLog,
    FakeLanguageModel,
    FakeRecognizer,
    FakeTurnDetector,
    fake_engines,
    noise,
    play,
    said,
    silence,
)
from tests.support.virtual_time import START, virtually
from tests.unit.dialogue.conversing import REPLY, conversation

SNAPSHOTS = Path(__file__).parent / "snapshots"


def compare(lines: list[str], path: Path) -> None:
    """Against the file; ``KUAIMEI_WRITE_SNAPSHOTS=1`` writes it anew, for a human to read the difference."""
    text = "\n".join(lines) + "\n"
    if os.environ.get("KUAIMEI_WRITE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@virtually
async def test_thirty_seconds_of_conversation() -> None:
    log = EventLog()
    replies = iter(
        [REPLY, "颱風大概星期四會到，記得帶傘出門。", "好的，那我先不說了。", "不客氣，路上請小心慢走。"]
    )
    written: dict[str, str] = {}

    def reply(req: Any) -> str:
        words = req.messages[-1].content
        if words not in written:
            written[words] = next(replies)
        return written[words]

    model = FakeLanguageModel(reply)
    async with conversation(log, turn_detector=FakeTurnDetector(), language_model=model) as c:
        await play(c, silence(400), said("今天天氣怎麼樣"), silence(2800))
        await play(c, said("嗯"), silence(3500))  # a backchannel over the reply
        await play(
            c, said("那颱風"), silence(300), said("什麼時候會來"), silence(3000)
        )  # a pause for thought
        await play(c, said("等一下先不用講了"), silence(6000))  # an interruption
        c.send_text("謝謝你")
        await c.wait_idle()
        await play(c, noise(100), silence(1000))  # a click
        await play(c, said("好那我出門了"), silence(5000))  # what would be a backchannel and more
        await c.wait_idle()
    compare(log.lines(START), SNAPSHOTS / "thirty_seconds.txt")
    assert 29.0 < asyncio.get_running_loop().time() - START < 33.0


@virtually
async def test_a_turn_from_ear_to_mouth() -> None:
    log = EventLog()
    model = FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        await play(c, silence(500), said("你好嗎今天"), silence(2000))
        await c.wait_idle()
        assert c.state == "listening"
        assert c.turn == 1
    assert log.names() == [
        "SpeechStarted",
        "CaptionUpdated",
        "SpeculationStarted",
        "TurnEnded",
        "StateChanged",
        "FinalTranscript",
        "ReplyStarted",
        "ReplyText",
        "ClauseReady",
        "StateChanged",
        "ReplyAudio",
        "ReplyText",
        "ClauseReady",
        "ReplyAudio",
        "ReplyText",
        "ClauseReady",
        "ReplyAudio",
        "ReplyFinished",
        "TurnMetrics",
        "StateChanged",
    ]
    assert [e.state for e in log.of(StateChanged)] == ["thinking", "speaking", "listening"]
    assert "".join(e.text for e in log.of(ReplyText)) == REPLY == log.one(ReplyFinished).text
    assert model.opened == model.closed
    assert model.requests[0].messages[-1] == Message(role="user", content="你好嗎今天")


@virtually
async def test_the_audio_of_the_utterance_has_no_gaps() -> None:
    log = EventLog()
    pcm = np.concatenate((silence(1000), said("你好嗎今天天氣"), silence(1500)))
    async with conversation(log) as c:
        await play(c, pcm, packet_ms=23)
        heard = np.concatenate([e.pcm for e in log.of(SpeechAudio)])
        start = round(log.one(SpeechStarted).audio_ms * 16)
        assert np.array_equal(heard, pcm[start : start + len(heard)])
        assert start == round(log.one(TurnEnded).audio_ms * 16) - len(heard)
        await c.wait_idle()


@virtually
async def test_latencies_count_from_the_last_voiced_frame() -> None:
    log = EventLog()
    async with conversation(log) as c:
        await play(c, silence(512), said("你好嗎今天"), silence(1500), packet_ms=32)
        await c.wait_idle()
    ended, timing = log.one(TurnEnded), log.one(TurnMetrics).timing
    assert ended.last_voiced_at == pytest.approx(START + 0.512 + 0.8, abs=0.033)
    assert timing.endpoint_ms == pytest.approx(704, abs=1)  # 700 ms in frames of 32
    assert timing.transcript_ms == pytest.approx(160 + 300, abs=1)  # recognised while it was silent
    first = log.of(ReplyAudio)[0]
    assert timing.first_audio_ms == pytest.approx((first.at - ended.last_voiced_at) * 1000.0)
    assert timing.last_audio_ms == pytest.approx((log.of(ReplyAudio)[-1].at - ended.last_voiced_at) * 1000.0)
    assert timing.reply_audio_s == pytest.approx(0.2 * len(REPLY))
    stages = [timing.transcript_ms, timing.first_token_ms, timing.first_clause_ms, timing.first_audio_ms]
    reached = [stage for stage in stages if stage is not None]
    assert len(reached) == 4
    assert reached == sorted(set(reached))


@virtually
async def test_captions_come_at_least_every_300_ms() -> None:
    log = EventLog()
    async with conversation(log) as c:
        await play(c, silence(300), said("今天天氣很好適合出門走走散步吃飯" * 2), silence(1500))
        await c.wait_idle()
    captions = log.of(CaptionUpdated)
    times = [log.one(SpeechStarted).at, *(e.at for e in captions)]
    assert max(b - a for a, b in pairwise(times)) <= 0.3
    assert captions[-1].text == "今天天氣很好適合出門走走散步吃飯" * 2


@virtually
async def test_the_history_is_what_was_said() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    earlier = [Message(role="user", content="早安"), Message(role="assistant", content="早。")]
    async with conversation(log, language_model=model, earlier=earlier, first_turn=4) as c:
        await play(c, said("今天天氣"), silence(1000))
        await c.wait_idle()
        await play(c, said("那明天呢"), silence(1000))
        await c.wait_idle()
    assert [e.turn for e in log.of(TurnEnded)] == [4, 5]
    assert [m.content for m in model.requests[-1].messages[1:]] == [
        "早安",
        "早。",
        "今天天氣",
        REPLY,
        "那明天呢",
    ]


@virtually
async def test_the_prompt_is_warmed_while_somebody_speaks() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        await play(c, said("今天天氣"), silence(1000))
        assert len(model.warmed) == 1
        assert model.warmed[0].ticket.priority == 2
        await c.wait_idle()
        await play(c, said("那明天呢"), silence(1000))
        await c.wait_idle()
    assert [m.content for m in model.warmed[1].messages[1:]] == ["今天天氣", REPLY]


@virtually
async def test_manner_reaches_voice_and_model() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    engines = fake_engines(language_model=model)
    reply_options = ReplyOptions(voice="fake_two", speed=1.2, instructions="說臺語")
    async with Conversation(engines, DialogueSettings(), "s", [log], reply_options=reply_options) as c:
        c.send_text("你好")
        await c.wait_idle()
    synthesizer: Any = engines.synthesizer
    assert {(r.voice_id, r.speed) for r in synthesizer.requests} == {("fake_two", 1.2)}
    assert model.requests[0].messages[0].content == "說臺語"


@virtually
async def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog()

    def broken(event: Any) -> None:
        raise ValueError("broken observer")

    async with Conversation(fake_engines(), DialogueSettings(), "s", [broken, log]) as c:
        c.send_text("你好")
        await c.wait_idle()
    assert log.of(ReplyFinished)
    assert "an observer failed" in caplog.text


@virtually
async def test_ten_minutes_of_speech_stay_bounded() -> None:
    log, recognizer = EventLog(), FakeRecognizer(lambda pcm: "段", delay_s=0.5)
    async with conversation(log, recognizer=recognizer, captioner=None) as c:
        words = said("今天天氣很好" * 8)
        longest = 0.0
        for _ in range(75):  # eight seconds each; every third time without a pause
            await play(c, words, silence(0 if _ % 3 else 150), packet_ms=100)
            log.events.clear()
            held = c._turn_taking.detector._utterance
            assert held is not None
            longest = max(longest, held.segment_ms, sum(map(len, held._recent)) / 16.0)
        await play(c, silence(1000))
        await c.wait_idle()
    assert longest <= 22_500.0
    assert len(log.one(FinalTranscript).text) == len(recognizer.requests)
    assert sum(samples for _, samples in recognizer.requests) >= 570 * 16_000


@virtually
async def test_what_is_known_already_is_read_while_the_user_goes_on() -> None:
    log, model = EventLog(), FakeLanguageModel()
    engines = fake_engines(language_model=model)
    async with Conversation(engines, DialogueSettings(), "s", [log]) as c:
        await play(c, said("一" * 50), silence(150), said("二" * 20), silence(2000))
        await c.wait_idle()
    (piece,) = log.of(SegmentTranscribed)
    assert piece.text == "一" * 50
    assert [req.messages[-1].content for req in model.warmed][-1] == "一" * 50
    assert log.one(FinalTranscript).text == "一" * 50 + "二" * 20


@virtually
async def test_who_speaks_english_is_answered_in_english() -> None:
    log, model = EventLog(), FakeLanguageModel("It is sunny.")
    recognizer = FakeRecognizer(text="How is the weather?", language="en")
    async with conversation(log, language_model=model, recognizer=recognizer) as c:
        await play(c, said("如何"), silence(2000))
        await c.wait_idle()
        c.send_text("謝謝")
        await c.wait_idle()
    first, second = (req.messages for req in (model.requests[0], model.requests[-1]))
    assert first[-1].content.endswith("(Please reply in English.)")
    assert [m.content for m in second[1:3]] == ["How is the weather?", "It is sunny."]
    assert second[-1].content == "謝謝"


@virtually
async def test_what_is_forgotten_is_not_answered() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    earlier = [Message(role="user", content="早"), Message(role="assistant", content="早安")]
    async with conversation(log, language_model=model, earlier=earlier) as talk:
        first = talk.send_text("第一句", reply=False)
        talk.add_message(Message(role="assistant", content="備註"), label="note")
        talk.send_text("第二句", reply=False)
        assert talk.remove_message("earlier_0")
        assert talk.remove_message(f"user_{first}")
        assert talk.remove_message("note")
        assert not talk.remove_message("note")
        number = talk.generate_reply()
        await talk.wait_idle()
        assert [m.content for m in model.requests[0].messages[1:]] == ["早安", "第二句"]
        assert talk.remove_message(f"reply_{number}")
        talk.send_text("第三句")
        await talk.wait_idle()
        assert [m.content for m in model.requests[-1].messages[1:]] == ["早安", "第二句\n第三句"]


@virtually
async def test_settings_change_for_the_next_turn() -> None:
    log, ears = EventLog(), FakeRecognizer()
    async with conversation(log, recognizer=ears) as talk:
        await play(talk, said("今天天氣"), silence(100))
        talk.settings = talk.settings.model_copy(
            update={"language": "en", "hotwords": ("快美",), "system_prompt": "新的"}
        )
        await play(talk, silence(1500))
        await talk.wait_idle()
        assert {request.language for request, _ in ears.requests} == {None}
        await play(talk, said("明天天氣"), silence(1500))
        await talk.wait_idle()
        request, _ = ears.requests[-1]
        assert (request.language, request.hotwords) == ("en", ("快美",))
        assert talk.settings.system_prompt == "新的"
