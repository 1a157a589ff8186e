import asyncio

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.task_set import TaskSet
from kuaimei.dialogue.utterance import Utterance
from kuaimei.engines.types import Priority
from kuaimei.errors import EngineError
from kuaimei.settings import DialogueSettings
from tests.support.fakes import FakeRecognizer, said, silence
from tests.support.virtual_time import virtually


def hear(utterance: Utterance, *sounds: Pcm) -> None:
    pcm = np.concatenate(sounds)
    for start in range(0, len(pcm) - len(pcm) % 512, 512):
        frame = pcm[start : start + 512]
        utterance.append_audio(frame, voiced=bool(frame.any()), at=asyncio.get_running_loop().time())


def utterance(recognizer: FakeRecognizer, tasks: TaskSet, **settings: object) -> Utterance:
    return Utterance(recognizer, DialogueSettings.model_validate(settings), "s", tasks, 0.0)


@virtually
async def test_a_long_utterance_is_recognised_at_its_pauses() -> None:
    tasks, recognizer = TaskSet(), FakeRecognizer(delay_s=0.2)
    u = utterance(recognizer, tasks)
    text = "一二三四五六七八九十百千萬億兆京垓秭穰溝澗正載極"
    hear(u, said(text), silence(200))
    u.speculate()
    hear(u, silence(128), said("再"))
    assert u.resume()  # 3.8 s: closed and recognised while the rest is spoken
    assert u.known_text is None
    await asyncio.sleep(0.3)
    assert u.known_text == text
    hear(u, said("會"), silence(200))
    transcript = await u.transcript()
    assert transcript.text == text + "再會"
    assert len(recognizer.requests) == 2
    assert transcript.speech_s < 1.0  # only the last piece was left
    await tasks.close()


@virtually
async def test_a_short_piece_is_recognised_anew_with_the_rest() -> None:
    tasks, recognizer = TaskSet(), FakeRecognizer(delay_s=0.5)
    u = utterance(recognizer, tasks)
    hear(u, said("那個"), silence(200))
    u.speculate()
    assert not u.resume()
    hear(u, said("颱風"), silence(200))
    assert (await u.transcript()).text == "那個颱風"
    assert recognizer.finished == ["那個颱風"]  # the first one was cancelled
    await tasks.close()


@virtually
async def test_speculation_is_what_the_transcript_waits_for() -> None:
    tasks, recognizer = TaskSet(), FakeRecognizer(delay_s=0.5)
    u = utterance(recognizer, tasks)
    hear(u, said("你好"))
    u.speculate()
    u.speculate()
    hear(u, silence(700))
    transcript = await u.transcript()
    assert (transcript.text, transcript.language) == ("你好", "zh")
    assert transcript.recognition_s == pytest.approx(0.5)
    assert len(recognizer.requests) == 1
    await tasks.close()


@virtually
async def test_nothing_spoken_after_a_forced_cut_is_lost() -> None:
    tasks, recognizer = TaskSet(), FakeRecognizer()
    u = utterance(recognizer, tasks, piece_max_ms=5000)
    hear(u, said("一二三四五六七八九十"), silence(32), said("百千萬億兆京垓秭穰溝澗正載極恆河沙阿僧祇那由他"))
    await asyncio.sleep(1.0)
    transcript = await u.transcript()
    assert transcript.text == "一二三四五六七八九十百千萬億兆京垓秭穰溝澗正載極恆河沙阿僧祇那由他"
    assert len(recognizer.requests) == 2
    await tasks.close()


@virtually
async def test_words_that_began_before_a_piece_was_closed_are_recognised() -> None:
    tasks, recognizer = TaskSet(), FakeRecognizer()
    u = utterance(recognizer, tasks, piece_min_ms=500)
    hear(u, said("一二三四五六"))
    u.speculate()
    hear(u, silence(192), said("七"))
    u.resume()
    assert (await u.transcript()).text == "一二三四五六七"
    await tasks.close()


@virtually
async def test_silence_is_not_recognised() -> None:
    tasks, recognizer = TaskSet(), FakeRecognizer()
    u = utterance(recognizer, tasks, piece_max_ms=3000)
    hear(u, silence(20_000), said("你好"), silence(20_000))
    assert u.segment_ms <= 3000
    assert (await u.transcript()).text == "你好"
    assert len(recognizer.requests) == 1
    await tasks.close()


@virtually
async def test_pieces_in_the_middle_wait_for_those_somebody_waits_for() -> None:
    tasks, recognizer = TaskSet(), FakeRecognizer()
    u = utterance(recognizer, tasks, language="en", hotwords=("Kuaimei",))
    hear(u, said("hello"))
    u.split()
    hear(u, said("world"))
    await u.transcript()
    first, last = (req for req, _ in recognizer.requests)
    assert (first.ticket.priority, last.ticket.priority) == (Priority.SPECULATIVE, Priority.LIVE)
    assert (last.language, last.hotwords, last.ticket.session) == ("en", ("Kuaimei",), "s")
    assert last.ticket.deadline == pytest.approx(asyncio.get_running_loop().time() + 60 - 0.3)
    await tasks.close()


@virtually
async def test_a_piece_that_fails_fails_the_utterance() -> None:
    tasks, recognizer = TaskSet(), FakeRecognizer(failure=EngineError("broken"))
    u = utterance(recognizer, tasks)
    hear(u, said("一二三"))
    u.split()
    hear(u, said("四"))
    with pytest.raises(EngineError, match="broken"):
        await u.transcript()
    await tasks.close()


@virtually
async def test_the_turn_detector_hears_eight_seconds() -> None:
    tasks = TaskSet()
    u = utterance(FakeRecognizer(), tasks)
    hear(u, said("一" * 100))
    assert 8 * 16_000 <= len(u.recent()) < 8.1 * 16_000
    u.abandon()
    await tasks.close()


@virtually
async def test_a_guess_that_could_not_be_recognised_costs_no_words() -> None:
    tasks, recognizer = TaskSet(), FakeRecognizer(failure=EngineError("just now"))
    u = utterance(recognizer, tasks)
    text = "一二三四五六七八九十百千萬億兆京垓秭穰溝澗正載極"
    hear(u, said(text), silence(200))
    u.speculate()
    await asyncio.sleep(0.5)
    recognizer.failure = None
    assert not u.resume()
    hear(u, said("再會"), silence(200))
    assert (await u.transcript()).text == text + "再會"
    await tasks.close()
