"""How like its owner a voice speaks, by an encoder it was not fitted to."""

import asyncio

import numpy as np

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.streams import whole
from kuaimei.engines.executor import compute
from kuaimei.engines.types import TTSReq, as_language
from kuaimei.errors import NotFound
from kuaimei.store.voices import JUDGE, VoiceRow
from kuaimei.voices.context import TICKET, Workroom
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.serialization import read_flac
from kuaimei.voices.training.prompts import JUDGED

__all__ = ["likeness", "spoken"]


async def likeness(room: Workroom, row: VoiceRow, *, hq: bool) -> float | None:
    """Mean cosine (ERes2Net) of sentences never practised with speech never learned from.

    Args:
        room: What may be used.
        row: The voice; the synthesiser has it.
        hq: As the beautiful tier speaks it.

    Returns:
        None if the encoder is not installed, no speech was held out, or the voice cannot be heard so.

    Raises:
        KuaimeiError: If the voice could not be spoken.
    """
    if hq and room.speak_hq is None:
        return None
    try:
        held_out = await asyncio.to_thread(read_flac, await room.store.voices.file(row.id, JUDGE))
    except NotFound:
        return None
    encoder = await asyncio.to_thread(room.judge)
    if encoder is None:
        return None
    lines = JUDGED[as_language(row.language) or "zh"]
    await room.quiet.wait()
    if hq and room.speak_hq is not None:
        said = await room.speak_hq(row.id, lines)
    else:
        said = [await spoken(room, row.id, line) for line in lines]
    owner = await compute(room.cores, TICKET, 1, encoder.embed, held_out, RATE)
    heard = [await compute(room.cores, TICKET, 1, encoder.embed, pcm, rate) for pcm, rate in said]
    return float(np.mean([one @ owner for one in heard]))


async def spoken(room: Workroom, voice: str, text: str) -> tuple[Pcm, int]:
    """``text`` in ``voice`` by the fast tier, behind everyone who is talking; samples and rate.

    Raises:
        EngineError: If synthesis failed.
    """
    request = TTSReq(text=text, voice_id=voice, ticket=TICKET)
    return await whole(room.synthesizer.stream(request)), room.synthesizer.sample_rate
