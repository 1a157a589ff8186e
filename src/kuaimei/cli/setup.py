"""``kuaimei setup``: everything that must be there before the first start."""

import asyncio

from kuaimei.cli import console
from kuaimei.cli.models import pull_missing
from kuaimei.settings import Settings

__all__ = ["setup"]


def setup() -> None:
    """Fetch the weights that the settings need and find the fastest way to run them on this machine.

    Done once; run again it only looks whether all is there.
    """
    settings = console.settings_from()
    pull_missing(settings)
    asyncio.run(_measure(settings))


async def _measure(settings: Settings) -> None:
    from kuaimei.engines.tts.kokoro import runtime

    await runtime.ensure_measured(settings, progress=console.note)
