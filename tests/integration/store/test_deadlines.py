"""Whatever is far may fall silent: it is given up in a stated time, comes back, and nothing said is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn import Config, Server

from kuaimei.dialogue.events import FinalTranscript
from kuaimei.errors import StoreError
from kuaimei.settings import Settings, StoreSettings
from kuaimei.store import Store, open_store, s3_blobs
from kuaimei.store.connection import DatabaseConnection, with_deadlines
from tests.support.store.network import BlackHole, black_hole
from tests.support.store.talking import hear, now, recording, sound

TIMEOUT_S = 2.0
STATED_S = TIMEOUT_S + 5.0
"""What `store.timeout_s` promises, and the margin in which the server's own answer may come."""
PATIENCE_S = 4 * STATED_S
"""A test machine is slow, and none may fail by the clock; a wait without end fails."""


@asynccontextmanager
async def far_database(settings: Settings) -> AsyncIterator[tuple[Settings, BlackHole]]:
    """The same database behind a network."""
    found = conninfo_to_dict(settings.store.database_url)
    async with black_hole(f"{found['host']}/.s.PGSQL.5432") as hole:
        url = f"host=127.0.0.1 port={hole.port} user={found['user']} dbname={found['dbname']} sslmode=disable"
        kept = StoreSettings(database_url=url, timeout_s=TIMEOUT_S)
        yield settings.model_copy(update={"store": kept}), hole


@pytest.mark.usefixtures("trouble")
async def test_a_database_that_falls_silent_is_given_up_and_nothing_is_lost(settings: Settings) -> None:
    heard = sound(8000)
    async with far_database(settings) as (far, hole), open_store(far) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, heard)
        recorder(FinalTranscript(1, now(), "之前", "zh"))
        assert await store.flush()
        hole.swallow()
        hear(recorder, 2, heard)
        recorder(FinalTranscript(2, now(), "當中", "zh"))
        async with asyncio.timeout(PATIENCE_S):
            for asking in (store.utterances("sess_a"), store.sessions(), store.delete_session("sess_none")):
                with pytest.raises(StoreError):
                    await asking
            assert not (await store.health()).ok
            while not store._ingest.failures:  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.05)
        assert hole.swallowed
        hole.heal()
        assert await store.flush(PATIENCE_S)
        assert [one.transcript for one in await store.utterances("sess_a")] == ["之前", "當中"]
        for one in await store.utterances("sess_a"):
            np.testing.assert_array_equal((await recording(store, one.id))[0], heard)
        assert (await store.statistics()).unsaved == 0
        await recorder.close()


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("silent_s", [0.0, 6.0])
async def test_a_worker_whose_database_falls_silent_ends_and_begins_again(
    settings: Settings, silent_s: float
) -> None:
    """Its lock may be somebody else's by then; after 6 s the connection that holds it is lost for certain."""
    done: list[str] = []

    async def work(subject: str) -> None:
        done.append(subject)

    async def nothing(*_: object) -> None:
        raise AssertionError

    async with far_database(settings) as (far, hole), open_store(far) as store:
        working = asyncio.ensure_future(store.run_jobs({"work": work}, transcribe=nothing))  # type: ignore[arg-type]
        await store.defer("work", "one")
        await _until(lambda: done == ["one"])
        hole.swallow()
        await _until(lambda: hole.swallowed > 0)
        await asyncio.sleep(silent_s)
        hole.heal()
        await _queue(settings, "two")
        await _until(lambda: done == ["one", "two"])
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _queue(settings: Settings, subject: str) -> None:
    async with open_store(settings) as near:
        await near.defer("work", subject)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_server_is_told_the_deadlines(settings: Settings) -> None:
    url = with_deadlines(settings.store.database_url, 3.0)
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = [(await (await connection.execute(f"show {name}")).fetchone() or ("",))[0] for name in names]
    assert found == ["3s", "3s", "6s"]
    given = conninfo_to_dict(with_deadlines("postgresql://u@far/d?options=-c%20work_mem%3D8MB", 3.0))
    assert str(given["options"]).endswith("-c work_mem=8MB")
    assert (given["tcp_user_timeout"], given["connect_timeout"]) == ("20000", "5")


async def test_a_migration_and_a_lock_have_no_deadline(settings: Settings) -> None:
    async with open_store(settings) as store:
        async with store._database._unhurried() as connection:
            assert await connection.scalar(text("show statement_timeout")) == "0"
        async with await store._database.connect() as mine:
            assert isinstance(mine, DatabaseConnection)
            assert mine.patience_s == 0.0


async def test_whoever_searches_holds_up_nobody_who_talks(settings: Settings) -> None:
    """All connections for browsing are taken: what is said is kept, and a conversation begins."""
    async with open_store(settings) as store:
        taken = [store._database._browser.connect() for _ in range(3)]
        for one in taken:
            await one.start()
        try:
            await store.ensure_session("sess_a")
            recorder = store.recorder("sess_a")
            hear(recorder, 1, sound(4000))
            recorder(FinalTranscript(1, now(), "說", "zh"))
            await recorder.close()
            assert store._ingest.unsaved == 0
            assert [m.content for m in await store.history("sess_a")] == ["說"]
        finally:
            for one in taken:
                await one.close()


class FakeS3:
    """As much of S3 as obstore asks for."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        routes = [Route("/{key:path}", self._serve, methods=["GET", "PUT", "HEAD", "DELETE", "POST"])]
        self.app = Starlette(routes=routes)

    async def _serve(self, request: Request) -> Response:
        key = request.path_params["key"]
        if request.method == "PUT":
            self.kept[key] = await request.body()
            return Response(headers={"ETag": '"e"'})
        if request.method == "DELETE":
            self.kept.pop(key, None)
            return Response(status_code=204)
        if "list-type" in request.query_params:
            return Response(
                self._listed(request.query_params.get("prefix", "")), media_type="application/xml"
            )
        if key not in self.kept:
            return Response(status_code=404)
        body, status, headers = self.kept[key], 200, {"ETag": '"e"', "Last-Modified": _DATE}
        if span := request.headers.get("range"):
            first, last = span.removeprefix("bytes=").split("-")
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            body, status = body[int(first) : int(last) + 1], 206
        return Response(body, status_code=status, headers=headers)

    def _listed(self, prefix: str) -> str:
        names = (key.removeprefix("bucket/") for key in self.kept)
        entries = "".join(
            f"<Contents><Key>{name}</Key><LastModified>2026-03-01T00:00:00.000Z</LastModified>"
            f'<ETag>"e"</ETag><Size>1</Size></Contents>'
            for name in names
            if name.startswith(prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"


_DATE = "Sun, 01 Mar 2026 00:00:00 GMT"


@asynccontextmanager
async def far_s3(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Settings, BlackHole]]:
    server = Server(Config(FakeS3().app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        async with black_hole(server.servers[0].sockets[0].getsockname()[1]) as hole:
            for name, value in (
                ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{hole.port}"),
                ("AWS_REGION", "somewhere"),
                ("AWS_ALLOW_HTTP", "true"),
                ("AWS_ACCESS_KEY_ID", "key"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
            ):
                monkeypatch.setenv(name, value)
            url = settings.store.database_url
            kept = StoreSettings(database_url=url, blob_url="s3://bucket")
            yield settings.model_copy(update={"store": kept}), hole
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_blobs, "_TOTAL_S", TIMEOUT_S)


@pytest.mark.usefixtures("trouble", "impatient")
async def test_a_place_of_recordings_that_falls_silent_is_given_up_and_nothing_is_lost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = sound(8000)
    async with far_s3(settings, monkeypatch) as (far, hole), open_store(far) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, heard)
        recorder(FinalTranscript(1, now(), "之前", "zh"))
        assert await store.flush()
        (before,) = await store.utterances("sess_a")
        np.testing.assert_array_equal((await recording(store, before.id))[0], heard)
        hole.swallow()
        hear(recorder, 2, heard)
        recorder(FinalTranscript(2, now(), "當中", "zh"))
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(StoreError, match="no answer within 2 s"):
                await recording(store, before.id)
            assert not (await store.health()).blobs
            while not store._ingest.failures:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        # The words are safe although the sound is not yet.
        assert [one.transcript for one in await store.utterances("sess_a")] == ["之前", "當中"]
        assert not await delete_within(store, "sess_a")
        hole.heal()
        assert await store.maintenance.finish_deletions() == 0
        hear(recorder := store.recorder("sess_b"), 1, heard)
        await recorder.close()
        assert [one.state for one in await store.utterances("sess_b")] == ["stored"]


async def delete_within(store: Store, session: str) -> bool:
    async with asyncio.timeout(PATIENCE_S):
        return await store.delete_session(session)


def test_the_stated_time_is_the_documented_one() -> None:
    assert Settings(home=Path("/nowhere")).store.timeout_s == 30.0
    assert s3_blobs._TOTAL_S == 60.0
