import asyncio
from itertools import pairwise
from typing import Any

import pytest

from kuaimei.dialogue.task_set import TaskSet
from kuaimei.dialogue.utterance import Utterance
from kuaimei.dialogue.utterance_detector import EndReason, UtteranceDetector
from kuaimei.settings import DialogueSettings
from tests.support.fakes import (
    FakeCaptioner,
    FakeRecognizer,
    FakeTurnDetector,
    fake_engines,
    noise,
    play,
    said,
    silence,
)
from tests.support.virtual_time import virtually


class Diary:
    """What the listener told, and when."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.captions: list[str] = []
        self.ended: list[tuple[Utterance, float, float, str]] = []
        self.heard = 0
        self.ready = True

    def speech_started(self, utterance: Utterance, audio_ms: float) -> None:
        self.lines.append("started")

    def speech_audio(self, pcm: Any) -> None:
        self.heard += len(pcm)

    def speech_continues(self, voiced_ms: float) -> None:
        pass

    def speech_paused(self, utterance: Utterance) -> None:
        self.lines.append("paused")

    def answer_ready(self, utterance: Utterance) -> bool:
        return self.ready

    def speech_resumed(self, utterance: Utterance) -> None:
        self.lines.append("resumed")

    def speech_ended(self, utterance: Utterance, audio_ms: float, reason: EndReason) -> None:
        self.lines.append(f"ended {reason}")
        waited = (asyncio.get_running_loop().time() - utterance.last_voiced_at) * 1000.0
        self.ended.append((utterance, audio_ms, waited, reason))

    def speech_discarded(self, utterance: Utterance) -> None:
        self.lines.append("too short")

    def segment_transcribed(self, utterance: Utterance) -> None:
        pass

    def caption_updated(self, text: str) -> None:
        self.captions.append(text)


class Ears:
    """A listener to speak to."""

    def __init__(self, settings: dict[str, Any] | None = None, **parts: Any) -> None:
        self.tasks, self.diary = TaskSet(), Diary()
        self.listener = UtteranceDetector(
            fake_engines(**parts), DialogueSettings(**settings or {}), "s", self.tasks, self.diary
        )

    def push_audio(self, pcm: Any) -> None:
        self.listener.push(pcm)

    async def close(self) -> None:
        await self.listener.close()
        await self.tasks.close()


@pytest.mark.parametrize(
    ("answer", "waits", "reason"),
    [(0.9, 400, "complete"), (0.1, 1000, "incomplete"), (None, 700, "silence")],
)
def test_the_turn_detector_shortens_or_lengthens_the_silence(
    answer: float | None, waits: float, reason: str
) -> None:
    @virtually
    async def scenario() -> None:
        detector = None if answer is None else FakeTurnDetector(answer)
        ears = Ears(turn_detector=detector)
        await play(ears, said("今天天氣"), silence(1500))
        ((_, _, waited, why),) = ears.diary.ended
        assert why == reason
        assert waits <= waited <= waits + 52
        await ears.close()

    scenario()


@virtually
async def test_a_slow_turn_detector_is_not_waited_for() -> None:
    ears = Ears(turn_detector=FakeTurnDetector(0.1, delay_s=3.0))
    await play(ears, said("今天天氣"), silence(1500))
    assert ears.diary.ended[0][3] == "silence"
    await ears.close()


@virtually
async def test_an_answer_about_an_earlier_pause_is_forgotten() -> None:
    answers = iter((0.95, 0.05))
    detector = FakeTurnDetector(lambda _: next(answers))
    ears = Ears(turn_detector=detector)
    await play(ears, said("今天天氣"), silence(300), said("怎麼樣呢"), silence(1500))
    assert ears.diary.lines == ["started", "paused", "resumed", "paused", "ended incomplete"]
    assert detector.asked[0] < detector.asked[1]
    await ears.close()


@virtually
async def test_a_click_in_a_pause_does_not_reopen_it() -> None:
    ears = Ears()
    await play(ears, said("今天天氣"), silence(300), noise(20), silence(1500))
    assert ears.diary.lines == ["started", "paused", "ended silence"]
    await ears.close()


@virtually
async def test_short_sounds_are_no_utterance() -> None:
    ears = Ears({"min_speech_ms": 200})
    await play(ears, noise(60), silence(1500))
    assert ears.diary.lines == []
    await play(ears, noise(150), silence(1500))
    assert ears.diary.lines == ["started", "too short"]
    await ears.close()


@virtually
async def test_a_quick_word_is_one() -> None:
    ears = Ears()
    await play(ears, noise(160), silence(1500))
    assert ears.diary.lines == ["started", "paused", "ended silence"]
    await ears.close()


@virtually
async def test_over_a_reply_an_utterance_takes_more_to_begin() -> None:
    ears = Ears({"min_speech_ms": 200})
    ears.listener.over_reply = True
    await play(ears, noise(64), silence(500))
    assert ears.diary.lines == []
    await play(ears, noise(150), silence(450))
    assert ears.diary.lines == ["started", "too short"]
    await ears.close()


@virtually
async def test_a_long_utterance_is_split_at_short_pauses() -> None:
    recognizer = FakeRecognizer(delay_s=0.2)
    ears = Ears(recognizer=recognizer)
    await play(ears, said("一" * 50), silence(150), said("二" * 20), silence(1000))
    assert recognizer.finished == ["一" * 50, "二" * 20]
    assert ears.diary.lines == ["started", "paused", "ended silence"]
    transcript = await ears.diary.ended[0][0].transcript()
    assert transcript.text == "一" * 50 + "二" * 20
    assert ears.diary.captions[-1] == transcript.text
    await ears.close()


@virtually
async def test_captions_take_over_what_was_recognised() -> None:
    recognizer = FakeRecognizer(lambda pcm: "全部認出來了", delay_s=0.05)
    captioner = FakeCaptioner()
    ears = Ears(recognizer=recognizer, captioner=captioner)
    await play(ears, said("一" * 25), silence(300), said("又說了"), silence(1000))
    assert ears.diary.captions[-1] == "全部認出來了又說了"
    assert ears.listener.caption == ears.diary.captions[-1]
    await ears.close()
    assert captioner.opened == captioner.closed == 2


@virtually
async def test_captions_lose_nothing_while_recognition_is_slow() -> None:
    ears = Ears(recognizer=FakeRecognizer(delay_s=2.0))
    await play(ears, said("一" * 25), silence(300), said("又說了"), silence(1000))
    assert ears.diary.captions[-1] == "一" * 25 + "又說了"
    assert all(len(b) >= len(a) for a, b in pairwise(ears.diary.captions))
    await ears.close()


@virtually
async def test_a_slow_captioner_coalesces() -> None:
    captioner = FakeCaptioner(delay_s=0.9)
    ears = Ears(captioner=captioner)
    await play(ears, said("一二三四五六七八九十" * 2), silence(100))
    assert 2 <= len(ears.diary.captions) <= 4
    await ears.close()


@virtually
async def test_captions_rest_while_the_recogniser_works() -> None:
    ears = Ears()
    await play(ears, said("今天天氣"), silence(250))
    count = len(ears.diary.captions)
    await play(ears, silence(400))
    assert len(ears.diary.captions) == count
    await ears.close()


@virtually
async def test_packets_of_any_size_are_the_same() -> None:
    heard = []
    for packet_ms in (5, 20, 33, 200):
        ears = Ears()
        await play(ears, silence(700), said("今天天氣"), silence(1500), packet_ms=packet_ms)
        ((_, audio_ms, _, reason),) = ears.diary.ended
        heard.append((audio_ms, reason, ears.diary.heard))
        await ears.close()
    assert len(set(heard)) == 1


@virtually
async def test_commit_takes_the_last_samples_too() -> None:
    ears = Ears()
    ears.listener.endpointing = False
    await play(ears, said("今天"), silence(5), packet_ms=5)
    assert ears.listener.commit()
    assert ears.diary.heard == 325 * 16
    assert not ears.listener.commit()
    await ears.close()


@virtually
async def test_endpointing_may_come_back_in_the_middle() -> None:
    ears = Ears()
    ears.listener.endpointing = False
    await play(ears, said("今天天氣"), silence(2000))
    assert ears.diary.lines == ["started"]
    ears.listener.endpointing = True
    await play(ears, silence(100))
    assert ears.diary.lines == ["started", "paused", "ended silence"]
    await ears.close()


@virtually
async def test_settings_change_between_two_utterances() -> None:
    ears = Ears()
    await play(ears, said("今天天氣"), silence(300))
    ears.listener.settings = DialogueSettings(
        end_silence_ms=1500, unready_silence_ms=0, preroll_ms=64, language="en"
    )
    assert ears.listener.settings.end_silence_ms == 1500
    await play(ears, silence(600))
    assert ears.diary.lines == ["started", "paused", "ended silence"]  # as it had begun
    ears.diary.lines.clear()
    heard = ears.diary.heard
    await play(ears, silence(1000), said("今天天氣"), silence(900))
    assert ears.diary.lines == ["started", "paused"]
    assert (ears.diary.heard - heard) / 16 < 64 + 4 * 160 + 900 + 64  # with less from before its onset
    await play(ears, silence(700))
    assert ears.diary.lines == ["started", "paused", "ended silence"]
    await ears.close()


@virtually
async def test_a_threshold_takes_effect_at_once_while_nobody_speaks() -> None:
    ears = Ears()
    ears.listener.settings = DialogueSettings(speech_threshold=0.99)
    await play(ears, said("今天天氣"), silence(900))
    assert ears.diary.lines == []
    await ears.close()


@virtually
async def test_a_microphone_that_is_switched_off_begins_no_utterance() -> None:
    ears = Ears()
    ears.listener.endpointing = False
    await play(ears, silence(5000))
    assert ears.diary.lines == []
    assert not ears.listener.commit()
    await play(ears, said("今天"), silence(3000))
    assert ears.diary.lines == ["started"]
    assert ears.listener.commit()
    assert ears.diary.heard / 16 == pytest.approx(320 + 2 * 160 + 3000, abs=33)  # what lay just before, too
    await ears.close()
