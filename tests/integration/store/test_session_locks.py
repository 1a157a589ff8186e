"""Two servers on one database: a session is open in one of them."""

import asyncio

import pytest

from kuaimei.errors import Conflict
from kuaimei.settings import Settings
from kuaimei.store import open_store
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres


async def test_a_session_that_is_open_elsewhere_is_refused_until_it_ends(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"home": settings.home / "elsewhere"})
    async with open_store(settings) as one, open_store(elsewhere) as other:
        async with one.claims.hold("sess_a"):
            async with one.claims.hold("sess_a"):  # within a server it changes hands
                pass
            with pytest.raises(Conflict, match="another server"):
                async with other.claims.hold("sess_a"):
                    pass
            async with other.claims.hold("sess_b"):
                pass
        async with other.claims.hold("sess_a"):
            pass


async def test_a_server_that_dies_lets_go(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"home": settings.home / "elsewhere"})
    async with open_store(settings) as one, open_store(elsewhere) as other, one.claims.hold("sess_a"):
        assert one.claims._holder is not None
        one.claims._holder._hang_up()
        async with asyncio.timeout(30):
            while True:
                try:
                    async with other.claims.hold("sess_a"):
                        break
                except Conflict:
                    await asyncio.sleep(0.05)


@pytest.mark.usefixtures("trouble")
async def test_without_a_database_people_talk_all_the_same(
    settings: Settings, cluster: EmbeddedPostgres
) -> None:
    async with open_store(settings) as store:
        await asyncio.to_thread(cluster._pg_ctl, "stop", "-m", "immediate")
        try:
            async with store.claims.hold("sess_a"):
                pass
        finally:
            await asyncio.to_thread(cluster.ensure_running)
        async with store.claims.hold("sess_a"):
            assert store.claims._holder is not None
