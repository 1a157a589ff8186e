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
    PieceRecognised,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    ReplyText,
    SpeechHeard,
    SpeechStarted,
    StateChanged,
    TranscriptFinal,
    TurnEnded,
    TurnTimed,
    UserText,
)
from kuaimei.dialogue.turn import Manner
from kuaimei.engines.types import Message
from kuaimei.settings import DialogueSettings
from tests.fakes import (
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    FakeTurnDetector,
    Log,
    fake_engines,
    noise,
    play,
    said,
    silence,
)
from tests.virtual_time import START, virtually

REPLY = "今天是晴天，最高溫是二十八度左右，適合出門走走散散步。"
SNAPSHOTS = Path(__file__).parent / "snapshots"


def conversation(log: Log, settings: dict[str, Any] | None = None, **parts: Any) -> Conversation:
    parts.setdefault("language_model", FakeLanguageModel(REPLY))
    about = {name: parts.pop(name) for name in ("manner", "earlier", "first_turn") if name in parts}
    settings = {"unready_silence_ms": 0, **(settings or {})}
    return Conversation(fake_engines(**parts), DialogueSettings(**settings), "s", [log], **about)


def compare(lines: list[str], path: Path) -> None:
    """Against the file; ``KUAIMEI_WRITE_SNAPSHOTS=1`` writes it anew, for a human to read the difference."""
    text = "\n".join(lines) + "\n"
    if os.environ.get("KUAIMEI_WRITE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@virtually
async def test_thirty_seconds_of_conversation() -> None:
    log = Log()
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
        c.type("謝謝你")
        await c.idle()
        await play(c, noise(100), silence(1000))  # a click
        await play(c, said("好那我出門了"), silence(5000))  # what would be a backchannel and more
        await c.idle()
    compare(log.lines(START), SNAPSHOTS / "thirty_seconds.txt")
    assert 29.0 < asyncio.get_running_loop().time() - START < 33.0


@virtually
async def test_a_turn_from_ear_to_mouth() -> None:
    log = Log()
    model = FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        await play(c, silence(500), said("你好嗎今天"), silence(2000))
        await c.idle()
        assert c.state == "listening"
        assert c.turn == 1
    assert log.names() == [
        "SpeechStarted",
        "CaptionUpdated",
        "SpeculationStarted",
        "TurnEnded",
        "StateChanged",
        "TranscriptFinal",
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
        "TurnTimed",
        "StateChanged",
    ]
    assert [e.state for e in log.of(StateChanged)] == ["thinking", "speaking", "listening"]
    assert "".join(e.text for e in log.of(ReplyText)) == REPLY == log.one(ReplyFinished).text
    assert model.opened == model.closed
    assert model.requests[0].messages[-1] == Message(role="user", content="你好嗎今天")


@virtually
async def test_the_audio_of_the_utterance_has_no_gaps() -> None:
    log = Log()
    pcm = np.concatenate((silence(1000), said("你好嗎今天天氣"), silence(1500)))
    async with conversation(log) as c:
        await play(c, pcm, packet_ms=23)
        heard = np.concatenate([e.pcm for e in log.of(SpeechHeard)])
        start = round(log.one(SpeechStarted).audio_ms * 16)
        assert np.array_equal(heard, pcm[start : start + len(heard)])
        assert start == round(log.one(TurnEnded).audio_ms * 16) - len(heard)
        await c.idle()


@virtually
async def test_latencies_count_from_the_last_voiced_frame() -> None:
    log = Log()
    async with conversation(log) as c:
        await play(c, silence(512), said("你好嗎今天"), silence(1500), packet_ms=32)
        await c.idle()
    ended, timing = log.one(TurnEnded), log.one(TurnTimed).timing
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
async def test_speculation_that_holds_saves_the_wait() -> None:
    log, model = Log(), FakeLanguageModel(REPLY, first_token_s=0.05, token_s=0.01)
    recognizer = FakeRecognizer(delay_s=0.1)
    async with conversation(log, language_model=model, recognizer=recognizer) as c:
        await play(c, said("你好嗎今天"), silence(1000))
        await c.idle()
    ended, timing = log.one(TurnEnded), log.one(TurnTimed).timing
    assert len(recognizer.requests) == 1
    assert timing.first_audio_ms == pytest.approx(timing.endpoint_ms)  # all was ready and waiting
    assert all(e.at >= ended.at for e in log.of(ReplyAudio))
    index = log.events.index(ended)
    assert not [e for e in log.events[:index] if isinstance(e, ReplyStarted | ReplyText | TranscriptFinal)]


@virtually
async def test_speculation_that_does_not_hold_leaves_no_trace() -> None:
    log, model = Log(), FakeLanguageModel(REPLY, first_token_s=0.05)
    recognizer = FakeRecognizer(delay_s=0.1)
    async with conversation(log, language_model=model, recognizer=recognizer) as c:
        await play(c, said("那個颱風"), silence(450), said("什麼時候會來"), silence(1500))
        assert model.opened - model.closed <= 1
        await c.idle()
    assert [n for n in log.names() if n.startswith("Speculation")] == [
        "SpeculationStarted",
        "SpeculationDropped",
        "SpeculationStarted",
    ]
    assert log.one(TranscriptFinal).text == "那個颱風什麼時候會來"
    assert [m.content for m in model.requests[0].messages][-1] == "那個颱風"
    assert model.requests[-1].messages[-1].content == "那個颱風什麼時候會來"
    assert model.opened == model.closed
    assert len(log.of(ReplyFinished)) == 1


@virtually
async def test_captions_come_at_least_every_300_ms() -> None:
    log = Log()
    async with conversation(log) as c:
        await play(c, silence(300), said("今天天氣很好適合出門走走散步吃飯" * 2), silence(1500))
        await c.idle()
    captions = log.of(CaptionUpdated)
    times = [log.one(SpeechStarted).at, *(e.at for e in captions)]
    assert max(b - a for a, b in pairwise(times)) <= 0.3
    assert captions[-1].text == "今天天氣很好適合出門走走散步吃飯" * 2


@virtually
async def test_the_history_is_what_was_said() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    earlier = [Message(role="user", content="早安"), Message(role="assistant", content="早。")]
    async with conversation(log, language_model=model, earlier=earlier, first_turn=4) as c:
        await play(c, said("今天天氣"), silence(1000))
        await c.idle()
        await play(c, said("那明天呢"), silence(1000))
        await c.idle()
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
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        await play(c, said("今天天氣"), silence(1000))
        assert len(model.warmed) == 1
        assert model.warmed[0].ticket.priority == 2
        await c.idle()
        await play(c, said("那明天呢"), silence(1000))
        await c.idle()
    assert [m.content for m in model.warmed[1].messages[1:]] == ["今天天氣", REPLY]


@virtually
async def test_a_typed_turn() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        assert c.type("幾點了") == 1
        assert c.state == "thinking"
        await c.idle()
    assert log.one(UserText).text == "幾點了"
    assert log.one(ReplyFinished).text == REPLY
    timing = log.one(TurnTimed).timing
    assert timing.endpoint_ms is None
    assert timing.transcript_ms is None
    assert timing.first_token_ms == pytest.approx(200)


@virtually
async def test_typing_interrupts_the_reply() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        c.type("天氣")
        await asyncio.sleep(3.0)
        c.type("算了")
        await c.idle()
    assert log.one(ReplyInterrupted).turn == 1
    heard = log.one(ReplyInterrupted).heard_text
    assert [m.content for m in model.requests[-1].messages[1:]] == ["天氣", heard, "算了"]


@virtually
async def test_typed_without_reply_then_asked() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        assert c.type("我叫小明", reply=False) == 1
        assert c.state == "listening"
        assert c.respond() == 1
        await c.idle()
        assert c.respond() == 2
        await c.idle()
    assert [e.reply for e in log.of(ReplyFinished)] == ["reply_1", "reply_2"]
    assert model.requests[0].messages[-1].content == "我叫小明"


@virtually
async def test_commit_without_endpointing() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        c.endpointing = False
        assert not c.commit()
        await play(c, silence(100), said("今天天氣"), silence(2000), said("如何"))
        assert not log.of(TurnEnded)
        assert c.commit()
        await c.idle()
    assert log.one(TurnEnded).reason == "committed"
    assert log.one(TranscriptFinal).text == "今天天氣如何"
    assert log.one(ReplyFinished).text == REPLY


@virtually
async def test_commit_what_no_detector_took_for_speech() -> None:
    log = Log()
    async with conversation(log, recognizer=FakeRecognizer("小聲的話")) as c:
        c.endpointing = False
        await play(c, silence(1500) + np.int16(100))
        assert c.commit()
        await c.idle()
    assert log.one(TranscriptFinal).text == "小聲的話"


@virtually
async def test_commit_ends_a_turn_early() -> None:
    log = Log()
    async with conversation(log) as c:
        await play(c, said("今天天氣"))
        assert c.commit()
        await c.idle()
    assert log.one(TurnEnded).reason == "committed"
    assert log.one(TranscriptFinal).text == "今天天氣"


@virtually
async def test_transcribed_only_until_asked() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, manner=Manner(reply=False)) as c:
        await play(c, said("今天天氣"), silence(1500))
        await c.idle()
        assert not model.requests
        assert log.one(TranscriptFinal).text == "今天天氣"
        assert c.respond(Manner(speak=False)) == 1
        await c.idle()
    assert log.one(ReplyFinished).text == REPLY
    assert not log.of(ReplyAudio)


@virtually
async def test_commit_and_ask_at_once_waits_for_the_transcript() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, manner=Manner(reply=False)) as c:
        c.endpointing = False
        await play(c, said("今天天氣"))
        c.commit()
        assert c.respond() == 1
        await c.idle()
    assert model.requests[0].messages[-1].content == "今天天氣"
    assert len(log.of(TurnTimed)) == 1
    assert log.one(ReplyFinished).turn == 1


@virtually
async def test_text_only_replies() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, manner=Manner(speak=False)) as c:
        c.type("天氣")
        await c.idle()
        c.type("再說一次")
        await c.idle()
    assert not log.of(ReplyAudio)
    assert [e.state for e in log.of(StateChanged)] == ["thinking", "speaking", "listening"] * 2
    assert [m.content for m in model.requests[-1].messages[1:]] == ["天氣", REPLY, "再說一次"]


@virtually
async def test_manner_reaches_voice_and_model() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    engines = fake_engines(language_model=model)
    manner = Manner(voice="fake_two", speed=1.2, instructions="說臺語")
    async with Conversation(engines, DialogueSettings(), "s", [log], manner=manner) as c:
        c.type("你好")
        await c.idle()
    synthesizer: Any = engines.synthesizer
    assert {(r.voice_id, r.speed) for r in synthesizer.requests} == {("fake_two", 1.2)}
    assert model.requests[0].messages[0].content == "說臺語"


@virtually
async def test_cancel_stops_thinking() -> None:
    log, model = Log(), FakeLanguageModel(REPLY, first_token_s=2.0)
    async with conversation(log, language_model=model) as c:
        c.type("天氣")
        await asyncio.sleep(1.0)
        c.cancel()
        assert c.state == "listening"
        await c.idle()
        await asyncio.sleep(5.0)
    interrupted = log.one(ReplyInterrupted)
    assert (interrupted.reason, interrupted.heard_ms, interrupted.heard_text) == ("cancelled", 0.0, "")
    assert not log.of(ReplyStarted)
    assert model.opened == model.closed == 1


@virtually
async def test_cancel_stops_speaking_and_nothing_comes_late() -> None:
    log = Log()
    async with conversation(log) as c:
        c.type("天氣")
        await asyncio.sleep(2.0)
        assert c.state == "speaking"
        c.cancel()
        count = len(log.events)
        await asyncio.sleep(5.0)
        assert len(log.events) == count
        assert log.names()[-3:] == ["ReplyInterrupted", "TurnTimed", "StateChanged"]


@virtually
async def test_cancel_during_recognition_keeps_the_words() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, recognizer=FakeRecognizer(delay_s=2.0)) as c:
        await play(c, said("今天天氣"), silence(1500))
        assert c.state == "thinking"
        c.cancel()
        await c.idle()
        assert log.one(TranscriptFinal).text == "今天天氣"
        assert not model.requests
        assert c.respond() == 2
        await c.idle()
    assert model.requests[0].messages[-1].content == "今天天氣"


@virtually
async def test_asking_again_after_a_cancel_during_recognition() -> None:
    log = Log()
    async with conversation(log, recognizer=FakeRecognizer(delay_s=2.0)) as c:
        await play(c, said("今天天氣"), silence(1500))
        c.cancel()
        assert c.respond() == 1
        await c.idle()
    assert log.one(ReplyInterrupted).reason == "cancelled"
    assert log.one(ReplyFinished).text == REPLY
    assert sum(len(e.pcm) for e in log.of(ReplyAudio)) == round(len(REPLY) * 0.2 * 24_000)


@virtually
async def test_played_corrects_the_history_after_the_fact() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        c.type("天氣")
        await asyncio.sleep(3.0)
        c.cancel()
        c.played(800.0)
        c.type("再來")
        await c.idle()
        c.played(600.0)  # of a reply that was played to its end, as far as could be known here
        c.type("又來")
        await c.idle()
    last = [m.content for m in model.requests[-1].messages[1:]]
    assert last == ["天氣", REPLY[:4], "再來", REPLY[:3], "又來"]


@virtually
async def test_played_while_playing_sets_the_account_right() -> None:
    log = Log()
    async with conversation(log) as c:
        c.type("天氣")
        await asyncio.sleep(3.0)
        c.played(200.0)
        await asyncio.sleep(0.4)
        c.cancel()
    assert log.one(ReplyInterrupted).heard_ms == pytest.approx(600.0)


@virtually
async def test_clear_forgets_what_was_being_said() -> None:
    log = Log()
    async with conversation(log) as c:
        await play(c, said("今天天氣"), silence(300))
        c.clear()
        await c.idle()
        await play(c, said("你好"), silence(1500))
        await c.idle()
    assert log.names(turn=1)[:5] == [
        "SpeechStarted",
        "CaptionUpdated",
        "SpeculationStarted",
        "SpeechDropped",
        "SpeechStarted",
    ]
    assert log.one(TranscriptFinal).text == "你好"
    assert log.one(TranscriptFinal).turn == 1


@virtually
async def test_speaking_on_while_the_reply_is_being_thought_of() -> None:
    log, model = Log(), FakeLanguageModel(REPLY, first_token_s=3.0)
    async with conversation(log, language_model=model) as c:
        await play(c, said("我想問天氣"), silence(1200), said("還有明天的交通"), silence(1500))
        await c.idle()
    assert [e.turn for e in log.of(TurnEnded)] == [1, 2]
    assert log.one(ReplyInterrupted).turn == 1
    assert model.requests[-1].messages[-1].content == "我想問天氣\n還有明天的交通"
    assert log.one(ReplyFinished).turn == 2


@virtually
async def test_speaking_on_while_still_being_recognised() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, recognizer=FakeRecognizer(delay_s=2.5)) as c:
        await play(c, said("我想問天氣"), silence(1000), said("還有明天的交通"), silence(1500))
        await c.idle()
    assert [e.text for e in log.of(TranscriptFinal)] == ["我想問天氣", "還有明天的交通"]
    assert [r.messages[-1].content for r in model.requests][-1] == "我想問天氣\n還有明天的交通"
    assert log.one(ReplyFinished).turn == 2


@virtually
async def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()

    def broken(event: Any) -> None:
        raise ValueError("broken observer")

    async with Conversation(fake_engines(), DialogueSettings(), "s", [broken, log]) as c:
        c.type("你好")
        await c.idle()
    assert log.of(ReplyFinished)
    assert "an observer failed" in caplog.text


@virtually
async def test_ten_minutes_of_speech_stay_bounded() -> None:
    log, recognizer = Log(), FakeRecognizer(lambda pcm: "段", delay_s=0.5)
    async with conversation(log, recognizer=recognizer, captioner=None) as c:
        words = said("今天天氣很好" * 8)
        longest = 0.0
        for _ in range(75):  # eight seconds each; every third time without a pause
            await play(c, words, silence(0 if _ % 3 else 150), packet_ms=100)
            log.events.clear()
            held = c._attention.listener._utterance
            assert held is not None
            longest = max(longest, held.piece_ms, sum(map(len, held._recent)) / 16.0)
        await play(c, silence(1000))
        await c.idle()
    assert longest <= 22_500.0
    assert len(log.one(TranscriptFinal).text) == len(recognizer.requests)
    assert sum(samples for _, samples in recognizer.requests) >= 570 * 16_000


@virtually
async def test_what_is_known_already_is_read_while_the_user_goes_on() -> None:
    log, model = Log(), FakeLanguageModel()
    engines = fake_engines(language_model=model)
    async with Conversation(engines, DialogueSettings(), "s", [log]) as c:
        await play(c, said("一" * 50), silence(150), said("二" * 20), silence(2000))
        await c.idle()
    (piece,) = log.of(PieceRecognised)
    assert piece.text == "一" * 50
    assert [req.messages[-1].content for req in model.warmed][-1] == "一" * 50
    assert log.one(TranscriptFinal).text == "一" * 50 + "二" * 20


@virtually
async def test_while_no_answer_is_ready_the_speaker_may_go_on() -> None:
    log = Log()
    settings = {"unready_silence_ms": 1000}
    async with conversation(log, settings, synthesizer=FakeSynthesizer(delay_s=0.6)) as c:
        await play(c, said("我想問天氣"), silence(850), said("還有明天的交通"), silence(3000))
        await c.idle()
    assert log.one(TranscriptFinal).text == "我想問天氣還有明天的交通"
    ended, heard = log.one(TurnEnded), log.of(ReplyAudio)[0]
    assert heard.at - ended.at < 0.7  # waiting for the end and making the answer overlapped


@virtually
async def test_a_turn_ends_as_soon_as_its_answer_is_ready() -> None:
    log = Log()
    settings = {"unready_silence_ms": 3000}
    async with conversation(log, settings, synthesizer=FakeSynthesizer(delay_s=0.6)) as c:
        await play(c, said("我想問天氣"), silence(5000))
        await c.idle()
    ended, heard = log.one(TurnEnded), log.of(ReplyAudio)[0]
    assert ended.at - ended.last_voiced_at < 2.0
    assert heard.at == ended.at


@virtually
async def test_who_speaks_english_is_answered_in_english() -> None:
    log, model = Log(), FakeLanguageModel("It is sunny.")
    recognizer = FakeRecognizer(text="How is the weather?", language="en")
    async with conversation(log, language_model=model, recognizer=recognizer) as c:
        await play(c, said("如何"), silence(2000))
        await c.idle()
        c.type("謝謝")
        await c.idle()
    first, second = (req.messages for req in (model.requests[0], model.requests[-1]))
    assert first[-1].content.endswith("(Please reply in English.)")
    assert [m.content for m in second[1:3]] == ["How is the weather?", "It is sunny."]
    assert second[-1].content == "謝謝"


@virtually
async def test_what_is_forgotten_is_not_answered() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    earlier = [Message(role="user", content="早"), Message(role="assistant", content="早安")]
    async with conversation(log, language_model=model, earlier=earlier) as talk:
        first = talk.type("第一句", reply=False)
        talk.add(Message(role="assistant", content="備註"), label="note")
        talk.type("第二句", reply=False)
        assert talk.forget("earlier_0")
        assert talk.forget(f"user_{first}")
        assert talk.forget("note")
        assert not talk.forget("note")
        number = talk.respond()
        await talk.idle()
        assert [m.content for m in model.requests[0].messages[1:]] == ["早安", "第二句"]
        assert talk.forget(f"reply_{number}")
        talk.type("第三句")
        await talk.idle()
        assert [m.content for m in model.requests[-1].messages[1:]] == ["早安", "第二句\n第三句"]


@virtually
async def test_settings_change_for_the_next_turn() -> None:
    log, ears = Log(), FakeRecognizer()
    async with conversation(log, recognizer=ears) as talk:
        await play(talk, said("今天天氣"), silence(100))
        talk.settings = talk.settings.model_copy(
            update={"language": "en", "hotwords": ("快美",), "system_prompt": "新的"}
        )
        await play(talk, silence(1500))
        await talk.idle()
        assert {request.language for request, _ in ears.requests} == {None}
        await play(talk, said("明天天氣"), silence(1500))
        await talk.idle()
        request, _ = ears.requests[-1]
        assert (request.language, request.hotwords) == ("en", ("快美",))
        assert talk.settings.system_prompt == "新的"


@virtually
async def test_asking_in_the_instant_a_turn_that_is_understood_becomes_certain() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, manner=Manner(reply=False)) as c:
        await play(c, said("今天天氣"), silence(600))  # understood on the guess that it is over
        assert c.commit()
        assert c.respond(Manner()) == 1
        await c.idle()
    assert model.requests[0].messages[-1].content == "今天天氣"
    assert log.one(ReplyFinished).text == REPLY
    assert len(log.of(TurnTimed)) == 1


@virtually
async def test_asking_about_what_was_not_understood() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    parts: dict[str, Any] = {"language_model": model, "recognizer": FakeRecognizer("")}
    async with conversation(log, manner=Manner(reply=False), **parts) as c:
        c.type("早安", reply=False)
        await play(c, noise(900), silence(600))
        assert c.commit()
        c.respond(Manner())
        await c.idle()
    assert model.requests[0].messages[-1].content == "早安"
    assert log.one(ReplyFinished).text == REPLY


@virtually
async def test_what_is_committed_between_frames_counts_as_received() -> None:
    log = Log()
    async with conversation(log) as c:
        c.endpointing = False
        for _ in range(3):
            await play(c, said("今天天氣"), silence(12))  # 652 ms: not a whole number of frames
            assert c.commit()
            await c.idle()
    assert [e.audio_ms for e in log.of(TurnEnded)] == pytest.approx([652, 1304, 1956])
    assert [e.audio_ms for e in log.of(SpeechStarted)] == pytest.approx([0, 652, 1304])


@virtually
async def test_played_is_of_the_reply_that_was_heard_though_the_next_turn_has_begun() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        c.type("天氣")
        await asyncio.sleep(3.0)
        c.type("再來")
        c.played(800.0)
        await c.idle()
        c.type("又來")
        await c.idle()
    assert [m.content for m in model.requests[-1].messages[1:4]] == ["天氣", REPLY[:4], "再來"]


@virtually
async def test_who_plays_may_tell_how_much_in_the_instant_of_the_interruption() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)

    def player(event: Any) -> None:
        if isinstance(event, ReplyInterrupted):
            c.played(600.0)

    async with conversation(log, language_model=model) as c:
        c.observe(player)
        c.type("天氣")
        await asyncio.sleep(3.0)
        c.cancel()
        c.type("再來")
        await c.idle()
    assert [m.content for m in model.requests[-1].messages[1:]] == ["天氣", REPLY[:3], "再來"]


@virtually
async def test_what_is_typed_in_a_pause_of_speech_is_known_to_its_answer() -> None:
    log, model = Log(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        await play(c, said("今天天氣"), silence(600))  # understood, and its answer begun
        c.type("我在臺北", reply=False)
        await play(c, silence(1500))
        await c.idle()
    assert model.requests[-1].messages[-1].content == "我在臺北\n今天天氣"
    assert log.one(ReplyFinished).text == REPLY
    assert model.opened == model.closed


@virtually
async def test_listening_by_hand_from_a_pause_on_stays_bounded() -> None:
    log = Log()
    async with conversation(log) as c:
        await play(c, said("今天天氣"), silence(400))
        c.endpointing = False
        await play(c, silence(60_000), packet_ms=100)
        utterance = c._attention.listener._utterance
        assert utterance is not None
        assert utterance.piece_ms <= 22_500
        await play(c, said("如何"))
        assert c.commit()
        await c.idle()
    assert log.one(TranscriptFinal).text == "今天天氣如何"
    assert log.one(ReplyFinished).text == REPLY
