"""A voice is deleted: what was said in it keeps its words and loses its sound."""

from typing import Any

import numpy as np
import pytest

from kuaimei.errors import NotFound
from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store import Store, open_store
from kuaimei.store.analyses import AnalysisResult
from kuaimei.store.due_analyses import AnalysisVersion
from kuaimei.store.rows import Boundary
from tests.support.store.talking import files, sound, take_turn

BASIS = AnalysisVersion("e1", "h1")
ROW: dict[str, Any] = {
    "owner": "local",
    "name": "阿明",
    "state": "ready",
    "duration_s": 5.0,
    "consent": {},
    "learning": {},
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With both tiers."""
    return settings.model_copy(update={"rendering": RenderingSettings()})


async def turn(store: Store, session: str, voice: str, number: int = 1) -> tuple[str, str]:
    """One turn with a reply in ``voice``; ids of both utterances."""
    recorder = store.recorder(session, voice=voice)
    take_turn(recorder, number, "說", sound(8000), "好的", sound(8000))
    await recorder.close()
    user, reply = (await store.utterances(session))[-2:]
    return user.id, reply.id


async def complete(store: Store, reply: str) -> None:
    """Render it beautifully, and analyse it."""
    order = await store.renderings.begin(reply)
    assert order is not None
    whole = Boundary(0, 0.0, 100.0)
    pcm = np.zeros(2400, np.int16)
    await store.renderings.save(order, pcm, 24_000, engine="e", clauses=[whole], took_s=1.0)
    assignment = await store.analyses.claim(reply, BASIS)
    assert assignment is not None
    contours = {"frame_ms": 10.0, "f0_hz": [100.0], "pauses": []}
    await store.analyses.save(assignment, AnalysisResult("too_short", {}, None, contours, 1.0))


async def test_its_replies_are_silenced_and_no_others(settings: Settings) -> None:
    async with open_store(settings) as store:
        await store.voices.add("voice_a", **ROW)
        ours, theirs = await turn(store, "sess_a", "voice_a"), await turn(store, "sess_b", "voice_b")
        for reply in (ours[1], theirs[1]):
            await complete(store, reply)
        assert await store.erase_spoken() == 0
        assert len(files(settings.home)) == 6

        assert await store.delete_voice("voice_a")
        assert await store.erase_spoken() == 0
        said = await store.utterance(ours[1])
        assert (said.transcript, said.state, said.bytes, said.sha256) == ("好的", "empty", None, None)
        assert said.hq is not None
        assert (said.hq.state, said.hq.bytes, said.hq.clauses) == ("cancelled", None, ())
        assert said.analysis is None
        with pytest.raises(NotFound):
            await store.analyses.get(ours[1])
        with pytest.raises(NotFound):
            await store.open_audio(ours[1])
        with pytest.raises(NotFound):
            await store.open_audio(ours[1], tier="hq")
        kept = await store.utterance(theirs[1])
        assert kept.hq is not None
        assert (kept.state, kept.hq.state) == ("stored", "ready")
        assert kept.analysis is not None
        names = [ours[0], *theirs, f"{theirs[1]}.hq"]
        assert files(settings.home) == sorted(f"{name}.flac" for name in names)


async def test_what_is_said_while_it_is_deleted_is_found_afterwards(settings: Settings) -> None:
    async with open_store(settings) as store:
        await store.voices.add("voice_a", **ROW)
        recorder = store.recorder("sess_a", voice="voice_a")
        take_turn(recorder, 1, "說", sound(8000), "好的", sound(8000))
        assert await store.delete_voice("voice_a")
        await recorder.close()
        await store.erase_spoken()
        user, reply = await store.utterances("sess_a")
        assert (reply.transcript, reply.state) == ("好的", "empty")
        assert files(settings.home) == [f"{user.id}.flac"]


async def test_a_rendering_under_way_leaves_nothing(settings: Settings) -> None:
    async with open_store(settings) as store:
        await store.voices.add("voice_a", **ROW)
        user, reply = await turn(store, "sess_a", "voice_a")
        order = await store.renderings.begin(reply)
        assert order is not None
        assert await store.delete_voice("voice_a")
        pcm = np.zeros(2400, np.int16)
        assert await store.renderings.save(order, pcm, 24_000, engine="e", clauses=(), took_s=1.0) is None
        assert files(settings.home) == [f"{user}.flac"]
        with pytest.raises(NotFound, match="not a spoken reply"):
            await store.retry_rendering(reply)


async def test_a_voice_of_another_server_is_none_of_ours(settings: Settings) -> None:
    """A far synthesiser's cloned voices look like ours, and are in no table here."""
    async with open_store(settings) as store:
        await turn(store, "sess_a", "voice_far")
        with pytest.raises(NotFound):
            await store.delete_voice("voice_far")
        assert await store.erase_spoken() == 0
        assert len(files(settings.home)) == 2
