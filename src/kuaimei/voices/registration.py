"""Voices in the synthesiser: one that is learned by its style, one that is copied by its recording."""

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.protocols import ReferenceBank, Synthesizer, VoiceBank
from kuaimei.store.voices import REFERENCE, STYLE, VoiceRow, VoiceShelf
from kuaimei.voices.serialization import read_style

__all__ = ["drop", "lend", "needs_learning"]


def needs_learning(synthesizer: Synthesizer) -> bool:
    """It does not copy a voice from its recording alone."""
    return not isinstance(synthesizer, ReferenceBank)


async def lend(
    synthesizer: Synthesizer, shelf: VoiceShelf, row: VoiceRow, style: NDArray[np.float32] | None = None
) -> None:
    """Have it speak in the voice from now on, in whichever way it can.

    Args:
        style: That of the voice; None: the one that is kept.

    Raises:
        NotFound: If what it needs of the voice is not kept.
        StoreError: If that cannot be read.
        EngineError: If it refuses.
    """
    if isinstance(synthesizer, VoiceBank):
        synthesizer.put_voice(row.id, read_style(await shelf.file(row.id, STYLE)) if style is None else style)
    elif isinstance(synthesizer, ReferenceBank):
        synthesizer.put_reference(row.id, await shelf.file(row.id, REFERENCE), row.transcript or "")


def drop(synthesizer: Synthesizer, voice: str) -> None:
    """Have it forget the voice; not known is fine."""
    if isinstance(synthesizer, VoiceBank | ReferenceBank):
        synthesizer.drop_voice(voice)
