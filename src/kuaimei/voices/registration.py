"""Registering cloned voices with the synthesizer: by trained style, or by reference recording."""

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.protocols import StyleVoiceBank, Synthesizer, ZeroShotCloner
from kuaimei.store.voices import REFERENCE, STYLE, VoiceRepository, VoiceRow
from kuaimei.voices.serialization import read_style

__all__ = ["needs_training", "register_voice", "unregister_voice"]


def needs_training(synthesizer: Synthesizer) -> bool:
    """Return True unless the synthesizer clones a voice from its recording alone."""
    return not isinstance(synthesizer, ZeroShotCloner)


async def register_voice(
    synthesizer: Synthesizer, shelf: VoiceRepository, row: VoiceRow, style: NDArray[np.float32] | None = None
) -> None:
    """Register the voice with the synthesizer, by style or by reference, whichever it supports.

    Args:
        synthesizer: Engine to register with; one that supports neither is left as it is.
        shelf: Repository that holds the files of the voice.
        row: Database row of the voice.
        style: Style of the voice, shape ``(256,)``; None: read from the repository.

    Raises:
        NotFound: If a required file of the voice is missing.
        StoreError: If that file cannot be read.
        EngineError: If the engine refuses the voice.
    """
    if isinstance(synthesizer, StyleVoiceBank):
        synthesizer.put_voice(row.id, read_style(await shelf.file(row.id, STYLE)) if style is None else style)
    elif isinstance(synthesizer, ZeroShotCloner):
        synthesizer.put_reference(row.id, await shelf.file(row.id, REFERENCE), row.transcript or "")


def unregister_voice(synthesizer: Synthesizer, voice: str) -> None:
    """Unregister the voice from the synthesizer; an unknown voice is not an error."""
    if isinstance(synthesizer, StyleVoiceBank | ZeroShotCloner):
        synthesizer.drop_voice(voice)
