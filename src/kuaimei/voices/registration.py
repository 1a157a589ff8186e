"""Voices in the synthesiser: one that is learned by its style, one that is copied by its recording."""

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.protocols import StyleVoiceBank, Synthesizer, ZeroShotCloner
from kuaimei.store.voices import REFERENCE, STYLE, VoiceRepository, VoiceRow
from kuaimei.voices.serialization import read_style

__all__ = ["needs_training", "register_voice", "unregister_voice"]


def needs_training(synthesizer: Synthesizer) -> bool:
    """It does not copy a voice from its recording alone."""
    return not isinstance(synthesizer, ZeroShotCloner)


async def register_voice(
    synthesizer: Synthesizer, shelf: VoiceRepository, row: VoiceRow, style: NDArray[np.float32] | None = None
) -> None:
    """Have it speak in the voice from now on, in whichever way it can.

    Args:
        style: That of the voice; None: the one that is kept.

    Raises:
        NotFound: If what it needs of the voice is not kept.
        StoreError: If that cannot be read.
        EngineError: If it refuses.
    """
    if isinstance(synthesizer, StyleVoiceBank):
        synthesizer.put_voice(row.id, read_style(await shelf.file(row.id, STYLE)) if style is None else style)
    elif isinstance(synthesizer, ZeroShotCloner):
        synthesizer.put_reference(row.id, await shelf.file(row.id, REFERENCE), row.transcript or "")


def unregister_voice(synthesizer: Synthesizer, voice: str) -> None:
    """Have it forget the voice; not known is fine."""
    if isinstance(synthesizer, StyleVoiceBank | ZeroShotCloner):
        synthesizer.drop_voice(voice)
