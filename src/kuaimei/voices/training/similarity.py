"""Speaker similarity of a voice, by an encoder that it was not trained with."""

import asyncio

import numpy as np

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.streams import collect_pcm
from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.types import TTSReq, as_language
from kuaimei.errors import NotFound
from kuaimei.store.voices import JUDGE, VoiceRow
from kuaimei.voices.context import BACKGROUND_TICKET, VoiceContext
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.serialization import read_flac
from kuaimei.voices.training.prompts import EVAL_PROMPTS

__all__ = ["speaker_similarity", "synthesize_prompts"]


async def speaker_similarity(context: VoiceContext, row: VoiceRow, *, hq: bool) -> float | None:
    """Return the mean cosine (ERes2Net) between unseen sentences and held-out speech of the speaker.

    Args:
        context: Shared dependencies.
        row: The voice, which must be registered with the synthesizer.
        hq: Measure the voice of the HQ tier.

    Returns:
        None if the encoder is not installed, no speech was held out, or there is no HQ tier to measure.

    Raises:
        KuaimeiError: If synthesis failed.
    """
    if hq and context.speak_hq is None:
        return None
    try:
        held_out = await asyncio.to_thread(read_flac, await context.store.voices.file(row.id, JUDGE))
    except NotFound:
        return None
    encoder = await asyncio.to_thread(context.eval_encoder)
    if encoder is None:
        return None
    lines = EVAL_PROMPTS[as_language(row.language) or "zh"]
    await context.idle_monitor.wait()
    if hq and context.speak_hq is not None:
        said = await context.speak_hq(row.id, lines)
    else:
        said = [await synthesize_prompts(context, row.id, line) for line in lines]
    owner = await run_on_cores(context.cores, BACKGROUND_TICKET, 1, encoder.embed, held_out, RATE)
    heard = [
        await run_on_cores(context.cores, BACKGROUND_TICKET, 1, encoder.embed, pcm, rate)
        for pcm, rate in said
    ]
    return float(np.mean([one @ owner for one in heard]))


async def synthesize_prompts(context: VoiceContext, voice: str, text: str) -> tuple[Pcm, int]:
    """Synthesize ``text`` in ``voice`` by the fast tier, at background priority; return samples and rate.

    Args:
        context: Shared dependencies.
        voice: Id of the voice, which must be registered.
        text: Text to speak.

    Raises:
        EngineError: If synthesis failed.
    """
    request = TTSReq(text=text, voice_id=voice, ticket=BACKGROUND_TICKET)
    return await collect_pcm(context.synthesizer.stream(request)), context.synthesizer.sample_rate
