import asyncio

import numpy as np

from kuaimei.dialogue.captions import Captions
from kuaimei.dialogue.task_set import TaskSet
from kuaimei.settings import DialogueSettings
from tests.support.fakes import FakeCaptioner, said
from tests.support.virtual_time import virtually


def captions(tasks: TaskSet, told: list[str], delay_s: float = 0.02) -> Captions:
    return Captions(FakeCaptioner(delay_s=delay_s), DialogueSettings(), tasks, told.append)


@virtually
async def test_an_utterance_that_comes_all_at_once_takes_nothing_from_the_next() -> None:
    tasks, told = TaskSet(), list[str]()
    hearing = captions(tasks, told)
    hearing.begin()
    hearing.hear(said("第一句話"))
    hearing.end()
    hearing.begin()
    hearing.hear(said("第二句話"))
    await asyncio.sleep(0.5)
    assert told == ["第二句話"]
    await hearing.close()
    await tasks.close()


@virtually
async def test_what_follows_a_pause_is_captioned_from_its_beginning() -> None:
    tasks, told = TaskSet(), list[str]()
    hearing = captions(tasks, told)
    hearing.begin()
    for frame in np.array_split(said("今天天氣"), 20):
        hearing.hear(frame)  # a push is due, and all of this comes before it begins
    hearing.pause()
    await asyncio.sleep(0.1)
    hearing.hear(said("很好"))
    hearing.resume("今天天氣。")
    hearing.hear(said("嗎"))
    await asyncio.sleep(0.5)
    assert told[-1] == "今天天氣。很好嗎"
    await hearing.close()
    await tasks.close()


@virtually
async def test_a_captioner_that_is_far_behind_skips_what_is_old() -> None:
    tasks, told = TaskSet(), list[str]()
    hearing = captions(tasks, told, delay_s=60.0)
    hearing.begin()
    for _ in range(100):
        hearing.hear(said("字"))
        await asyncio.sleep(0.16)
    assert hearing._samples <= 10 * 16_000
    await hearing.close()
    await tasks.close()
