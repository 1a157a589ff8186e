"""From a reply to its second rendering, on a real database; killed, deleted or disturbed in the middle."""

import asyncio
import os
import signal

import numpy as np
import pytest

from kuaimei.dialogue.events import SpeechRejected, SpeechStarted
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.errors import EngineUnavailable
from kuaimei.rendering.broadcast import Announcements, Ready
from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store import Store, open_store
from kuaimei.store.rows import Rendering
from kuaimei.store.spool import SpoolRun
from kuaimei.store.utterance_record import UtteranceRecord
from tests.integration.store.test_recovery import reached, victim
from tests.integration.store.test_renderings import heard, the_reply
from tests.support.store.rendering import SENTENCES, TEXT, rendering, synthesizer
from tests.support.store.talking import answer, eventually, files, now, sound


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With both tiers."""
    return settings.model_copy(update={"rendering": RenderingSettings()})


async def reply_once(store: Store, session: str = "sess_a") -> str:
    recorder = store.recorder(session, voice="zf_a")
    answer(recorder, 1, TEXT, sound(24_000))
    await recorder.close()
    return (await the_reply(store, session)).id


async def ready(store: Store, utterance: str) -> Rendering:
    async def is_ready() -> bool:
        hq = (await store.utterance(utterance)).hq
        return hq is not None and hq.state == "ready"

    await eventually(is_ready)
    hq = (await store.utterance(utterance)).hq
    assert hq is not None
    return hq


def whole() -> int:
    """Samples of both sentences with their pauses, at least."""
    speaker = synthesizer()
    return sum(len(speaker.audio(sentence)) for sentence in SENTENCES)


async def test_a_reply_is_rendered_when_nobody_talks(settings: Settings) -> None:
    speaker, idle_monitor, announcements = synthesizer(), IdleMonitor(settle_s=0.01), Announcements()
    told: list[Ready] = []
    async with open_store(settings) as store:
        watch = idle_monitor.watch("sess_b")
        watch(SpeechStarted(1, now(), 0.0))
        utterance = await reply_once(store)
        with announcements.subscribe("sess_a", told.append):
            async with rendering(
                store, speaker, idle_monitor=idle_monitor, announcements=announcements
            ) as counts:

                async def taken_up() -> bool:
                    return (await store._jobs.counts()).get("doing") == 1

                await eventually(taken_up)
                assert not speaker.requests
                watch(SpeechRejected(1, now(), ""))
                hq = await ready(store, utterance)
        assert [request.text for request in speaker.requests] == list(SENTENCES)
        assert (hq.engine, hq.voice, len(hq.clauses)) == ("fake 1", "zf_a", 1)
        pcm = await heard(store, utterance)
        assert len(pcm) >= whole()
        assert hq.duration_ms == pytest.approx(len(pcm) / 24.0)
        assert [(one.utterance, one.rendering) for one in told] == [(utterance, hq)]
        assert counts.ready == 1
        assert await store._jobs.counts() == {}


@pytest.mark.usefixtures("trouble")
async def test_killed_in_the_middle_it_is_finished_after_the_next_start(settings: Settings) -> None:
    async with open_store(settings) as store:
        utterance = await reply_once(store)
    async with victim(settings, "", module="tests.support.store.rendering") as process:
        await reached(process, "second")
        process.send_signal(signal.SIGKILL)
    speaker = synthesizer()
    async with open_store(settings) as store:
        assert await store._jobs.counts() == {"doing": 1}
        hq = (await store.utterance(utterance)).hq
        assert hq is not None
        assert hq.state == "rendering"
        async with rendering(store, speaker):
            await ready(store, utterance)
        assert [request.text for request in speaker.requests] == list(SENTENCES)
        assert len(await heard(store, utterance)) >= whole()
        assert files(settings.home) == sorted([f"{utterance}.flac", f"{utterance}.hq.flac"])
        assert await store._jobs.counts() == {}
    assert list((settings.home / "spool").iterdir()) == []


@pytest.mark.parametrize("what", ["session", "utterance"])
async def test_deleted_in_the_middle_it_ends_and_leaves_nothing(settings: Settings, what: str) -> None:
    speaker = synthesizer()
    begun = asyncio.Event()
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def before(text: str) -> "asyncio.Future[None] | None":
        if text == SENTENCES[0]:
            return None
        begun.set()
        return never

    speaker.before = before
    async with open_store(settings) as store:
        utterance = await reply_once(store)
        async with rendering(store, speaker):
            await begun.wait()
            if what == "session":
                await store.delete_session("sess_a")
            else:
                await store.delete_utterance(utterance)
            assert never.cancelled()
            assert files(settings.home) == []
            # The next one is rendered: the worker has survived.
            speaker.before = lambda text: None
            await ready(store, await reply_once(store, "sess_b"))
        assert await store._jobs.counts() in ({}, {"failed": 1}, {"aborted": 1})


@pytest.mark.usefixtures("trouble")
async def test_what_fails_for_a_while_succeeds_in_the_end(settings: Settings) -> None:
    speaker = synthesizer()
    speaker.failure = EngineUnavailable("it is away")
    async with open_store(settings) as store:
        utterance = await reply_once(store)
        async with rendering(store, speaker) as counts:

            async def failed_once() -> bool:
                hq = (await store.utterance(utterance)).hq
                return hq is not None and (hq.state, hq.error) == ("queued", "it is away")

            await eventually(failed_once)
            speaker.failure = None
            hq = await ready(store, utterance)  # some three seconds later
        assert (hq.error, counts.retried, counts.ready) == (None, 1, 1)


async def test_what_was_recorded_by_a_dead_process_is_rendered_too(settings: Settings) -> None:
    """The reply is known by its spool only: nobody had asked for its rendering yet."""
    async with open_store(settings) as store:
        run = SpoolRun.begin(settings.home / "spool")
        record = UtteranceRecord(
            session="sess_a",
            turn=1,
            speaker="assistant",
            sample_rate=24_000,
            transcript=TEXT,
            voice="zf_a",
            speed=1.1,
            clauses=[*SENTENCES],
            wants_hq=True,
            ended=True,
        )
        spool = run.spool(record.id)
        spool.write(0, sound(24_000).tobytes())
        spool.save(record.model_dump_json().encode())
        spool.close()
        os.close(run._lock)  # as if it had died
        assert list(await store.sessions()) == []
    speaker = synthesizer()
    async with open_store(settings) as store, rendering(store, speaker):
        hq = await ready(store, record.id)
        assert [clause.index for clause in hq.clauses] == [0, 1]
        assert {request.speed for request in speaker.requests} == {1.1}
        pcm = await heard(store, record.id)
        first = synthesizer().audio(SENTENCES[0])
        np.testing.assert_array_equal(pcm[: len(first)], first)
