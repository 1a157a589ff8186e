"""A process in which a voice is being learned, to be killed; tells the ids of both, once they are."""

import asyncio
from pathlib import Path

from kuaimei.settings import Settings, StoreSettings
from tests.support.voices.running_library import living


def main(home: str, database: str) -> None:
    asyncio.run(_live(Settings(home=Path(home), store=StoreSettings(database_url=database))))


async def _live(settings: Settings) -> None:
    async with living(settings, learn="style") as runtime:
        runtime.order(style=[["progress", 0.2], ["progress", 0.4], ["hang", 0]])
        voice = await runtime.add()
        await runtime.until(voice.id, lambda v: v.learning.state == "running" and v.learning.progress > 0.3)
        print(voice.id, runtime.runs[0]["pid"], flush=True)
        await asyncio.Event().wait()
