"""Enrolment of a cloned voice for a benchmark."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from kuaimei.runtime import Runtime
from kuaimei.voices.types import Consent, Voice

__all__ = ["OWNER", "enrolled"]

OWNER = "local"
"""Id of the owner of all benchmark voices: the local user."""

_LOOK_S = 0.1
_PATIENCE_S = 240.0


async def enrolled(
    runtime: Runtime, recording: Path, until: Callable[[Voice], bool], said: str = ""
) -> Voice:
    """Enrol ``recording``; return the voice as soon as ``until`` holds. A failure ends the program.

    Args:
        runtime: Runtime with a voice library.
        recording: Reference recording.
        until: Condition to wait for.
        said: Transcript of the recording; empty: it is transcribed.
    """
    assert runtime.voices is not None
    added = await runtime.voices.add(
        recording,
        name=OWNER,
        consent=Consent(speaker=OWNER, statement="a measurement", at=datetime.now(UTC)),
        owner=OWNER,
        transcript=said,
        strict=False,
    )
    async with asyncio.timeout(_PATIENCE_S):
        while not until(voice := await runtime.voices.voice(added.id, OWNER)):
            if failed := voice.error or voice.learning.error:
                sys.exit(failed)
            await asyncio.sleep(_LOOK_S)
    return voice
