"""A deletion is cut off anywhere, by an error, a cancellation or SIGKILL: afterwards nothing is left.

The assertion is a search of every byte in the data folder and of every row in the database.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kuaimei.errors import Conflict, NotFound, StoreError
from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store import Store, open_store
from kuaimei.store.deletions import Deletion, Step
from kuaimei.store.spool import SpoolRun
from tests.support.store.deleting import KINDS, WORDS, Kind, Life, Moments, delete, live
from tests.support.store.searching import database_hits, file_hits
from tests.support.store.talking import hear, sound, take_turn

ROOT = Path(__file__).parents[3]
ERASED = "erased_voices"
"""The ids of deleted voices stay, so that what is said in one while it is deleted loses its sound."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With both tiers."""
    return settings.model_copy(update={"rendering": RenderingSettings()})


def left(settings: Settings, kind: Kind, life: Life) -> list[str]:
    """Where something of it is to be found."""
    home, database = settings.home, settings.store.database_url
    if kind == "session":
        said = (life.session, life.user, life.reply, *WORDS[:4])
        return [*file_hits(home, *said), *database_hits(database, *said)]
    if kind == "utterance":
        words = (life.reply, "sentinelanswered")
        return [*file_hits(home, *words), *database_hits(database, *words)]
    # Which voice a reply was spoken in is still said of it; it has no sound any more.
    spoken = (ERASED, "utterances", "renderings")
    found = [*file_hits(home, life.voice, "sentinelvoice"), *file_hits(home, life.reply)]
    return [
        *found,
        *database_hits(database, "sentinelvoice"),
        *database_hits(database, life.voice, leave_out=spoken),
    ]


async def restart(settings: Settings, kind: Kind, life: Life) -> None:
    """Start anew; what was not acknowledged, and is still there, is asked for again."""
    async with open_store(settings) as store:
        if await there(store, kind, life):
            assert await delete(store, kind, life.subject(kind))
        assert await store.deletions.count() == 0


async def there(store: Store, kind: Kind, life: Life) -> bool:
    try:
        if kind == "session":
            await store.session(life.session)
        elif kind == "utterance":
            await store.utterance(life.reply)
        else:
            await store.voices.get(life.voice)
    except NotFound:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_left(settings: Settings, kind: Kind) -> None:
    async with open_store(settings) as store:
        life = await live(store, settings)
        assert left(settings, kind, life)  # it can be found
        assert await delete(store, kind, life.subject(kind))
        assert left(settings, kind, life) == []
        with pytest.raises(NotFound):
            await delete(store, kind, life.subject(kind))
        if kind == "voice":
            assert [u.words for u in await store.utterances(life.session)] != []
    async with open_store(settings):
        assert left(settings, kind, life) == []


@asynccontextmanager
async def failing(store: Store, kind: Kind, number: int, *, after: bool) -> AsyncIterator[None]:
    """The step of that number fails, before or after it has done its work."""
    steps = list(store.deletions.steps[kind])
    real = steps[number]

    async def fail(deletion: Deletion) -> None:
        if after:
            await real(deletion)
        raise StoreError("the place of the recordings is away")

    failing_step: Step = fail
    store.deletions.steps[kind] = [*steps[:number], failing_step, *steps[number + 1 :]]
    yield
    store.deletions.steps[kind] = steps


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_step_fails_it_is_gone_at_once_and_finished_later(
    settings: Settings, kind: Kind, after: bool
) -> None:
    async with open_store(settings) as store:
        steps = len(store.deletions.steps[kind])
        for number in range(steps):
            life = await live(store, settings, number)
            async with failing(store, kind, number, after=after):
                assert not await delete(store, kind, life.subject(kind))
                assert not await there(store, kind, life)
                going_on = await store.deletion(kind, life.subject(kind))
                assert going_on is not None
                assert (going_on.owner, going_on.kind) == ("local", kind)
                # Asked again it is not "not found": it still goes on.
                assert not await delete(store, kind, life.subject(kind))
            if number % 2:  # by the upkeep …
                assert await store.maintenance.finish_deletions() == 0
            else:  # … or by whoever asks again
                assert await delete(store, kind, life.subject(kind))
            assert await store.deletion(kind, life.subject(kind)) is None
            assert left(settings, kind, life) == []


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled_at_any_moment_it_is_finished_by_the_next_start(
    settings: Settings, kind: Kind
) -> None:
    async with open_store(settings) as store:
        life = await live(store, settings)
        moments = Moments(-1, lambda: None)
        moments.within(store)
        assert await delete(store, kind, life.subject(kind))
    assert moments.count > 20
    for number, moment in enumerate(range(0, moments.count, max(1, moments.count // 12)), 1):
        async with open_store(settings) as store:
            life = await live(store, settings, number)

            def strike() -> None:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()

            Moments(moment, strike).within(store)
            asking = asyncio.ensure_future(delete(store, kind, life.subject(kind)))
            await asyncio.wait({asking})
            if not asking.cancelled() and asking.result():  # it had done its work by then
                assert left(settings, kind, life) == []
        await restart(settings, kind, life)
        assert left(settings, kind, life) == [], moment


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("moment", [3, 11, 19, 27])
@pytest.mark.parametrize("kind", KINDS)
async def test_killed_at_any_moment_it_is_finished_by_the_next_start(
    settings: Settings, kind: Kind, moment: int
) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.store.deleting"),
        *(str(settings.home), settings.store.database_url, kind, str(moment)),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    )
    told, _ = await process.communicate()
    lines = told.decode().splitlines()
    life = Life(*lines[0].split())
    assert process.returncode == -9, lines  # it did not get to the end
    await restart(settings, kind, life)
    assert left(settings, kind, life) == []


async def test_asked_for_while_it_is_being_deleted_a_session_is_refused(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(settings) as store:
        await store.ensure_session("sess_a")
        await store.deletions.request("session", "sess_a")
        with pytest.raises(Conflict, match="is being deleted"):
            await store.ensure_session("sess_a")
        # And what another connection says in it meanwhile does not bring it back.
        recorder = store.recorder("sess_a")
        take_turn(recorder, 1, "還在", sound(4000), "好", sound(4000))
        await recorder.close()
        assert await store.maintenance.finish_deletions() == 0
        assert await store.utterances("sess_a") == []
        assert file_hits(settings.home, "還在") == []
        await store.ensure_session("sess_a")  # a new one of the same name


async def test_beside_another_process_a_deletion_is_looked_after_once_more(settings: Settings) -> None:
    """What the other had begun to write may arrive after everything was deleted."""
    async with open_store(settings) as store:
        other = await asyncio.to_thread(SpoolRun.begin, settings.home / "spool")
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(4000))
        await recorder.close()
        assert await store.delete_session("sess_a")
        assert await store.deletion("session", "sess_a") is None
        assert database_hits(settings.store.database_url, "sess_a") == ["deletions"]
        with pytest.raises(NotFound):
            await store.delete_session("sess_a")
        with pytest.raises(Conflict, match="is being deleted"):  # a new one would go with what is late
            await store.ensure_session("sess_a")
        await store._blobs.put("sess_a/utt_late.flac", b"late")
        await asyncio.to_thread(other.close)
        assert await store.maintenance.finish_deletions() == 0
        assert database_hits(settings.store.database_url, "sess_a") == []
        assert file_hits(settings.home, "utt_late") == []


@pytest.mark.usefixtures("trouble")
async def test_a_file_that_cannot_be_deleted_is_never_called_deleted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(settings) as store:
        life = await live(store, settings)

        def refused(path: str) -> None:
            raise PermissionError(1, "Operation not permitted", path)

        with monkeypatch.context() as undeletable:
            undeletable.setattr(os, "unlink", refused)
            assert not await store.delete_voice(life.voice)
            assert not await store.delete_voice(life.voice)
        assert await store.delete_voice(life.voice)
        assert left(settings, "voice", life) == []


async def test_files_of_a_voice_that_an_earlier_version_left_go_at_the_next_start(settings: Settings) -> None:
    async with open_store(settings) as store:
        life = await live(store, settings)
        await store.delete_voice(life.voice)
    for path in (
        settings.home / "recordings" / "voices" / life.voice / "reference.flac",
        settings.home / "learning" / life.voice / "style" / "reference.wav",
        settings.home / "cache" / "voices" / f"{'0' * 32}.mp3",
        settings.home / "cache" / "voices" / "voice_unknown.0123.mp3",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sentinelvoice")
    stock = settings.home / "cache" / "voices" / "zf_xiaobei.0123.mp3"
    stock.write_bytes(b"stock")
    async with open_store(settings):
        assert left(settings, "voice", life) == []
        assert stock.exists()
