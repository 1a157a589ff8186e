"""How like its owner a voice speaks, by an encoder it was not fitted to."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Final

import numpy as np

from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.engines.computing import compute
from kuaimei.engines.speaker import SpeakerEncoder
from kuaimei.engines.types import Language, Priority, Ticket, TTSReq
from kuaimei.errors import NotFound
from kuaimei.store.voices import VoiceRow
from kuaimei.voices.files import JUDGE, read_flac
from kuaimei.voices.lines import JUDGED
from kuaimei.voices.speech import RATE
from kuaimei.voices.workroom import Workroom

__all__ = ["likeness"]

_TICKET: Final = Ticket(session="voices", priority=Priority.BACKGROUND)


async def likeness(room: Workroom, row: VoiceRow, decoder: Path | None) -> float | None:
    """Mean cosine (ERes2Net) of sentences never practised with speech never learned from.

    Args:
        room: What may be used.
        row: The voice; the synthesiser has it.
        decoder: Its own decoder, if it has one: then the beautiful tier speaks.

    Returns:
        None if the encoder is not installed, no speech was held out, or the voice cannot be heard so.

    Raises:
        KuaimeiError: If the voice could not be spoken.
    """
    try:
        held_out = await asyncio.to_thread(read_flac, await room.store.voices.file(row.id, JUDGE))
    except NotFound:
        return None
    if decoder is not None and room.speak_hq is None:
        return None
    encoder = await asyncio.to_thread(room.judge)
    if encoder is None:
        return None
    language: Language = "en" if row.language == "en" else "zh"
    owner = await compute(room.cores, _TICKET, 1, encoder.embed, held_out, RATE)
    cosines = []
    for line in JUDGED[language]:
        await room.quiet.wait()
        pcm, rate = await _spoken(room, row.id, line, decoder)
        cosines.append(float(await _embedded(room, encoder, pcm, rate) @ owner))
    return float(np.mean(cosines))


async def _embedded(
    room: Workroom, encoder: SpeakerEncoder, pcm: Pcm, rate: int
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return await compute(room.cores, _TICKET, 1, encoder.embed, pcm, rate)


async def _spoken(room: Workroom, voice: str, text: str, decoder: Path | None) -> tuple[Pcm, int]:
    if decoder is not None and room.speak_hq is not None:
        return await room.speak_hq(voice, text, decoder)
    request = TTSReq(text=text, voice_id=voice, ticket=_TICKET)
    pieces = [EMPTY]
    async with aclosing(room.synthesizer.stream(request)) as stream:  # type: ignore[type-var]
        pieces += [pcm async for pcm in stream]
    return np.concatenate(pieces), room.synthesizer.sample_rate
