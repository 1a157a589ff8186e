"""Replies in a voice that was deleted: their words stay, their sound goes."""

from sqlalchemy import and_, delete, exists, or_, select, update

from kuaimei.store.blobs import Blobs
from kuaimei.store.database import Database
from kuaimei.store.keeper import blob_key
from kuaimei.store.renderings import UNDER_WAY, Renderings
from kuaimei.store.tables import analyses, erased_voices, renderings, utterances

__all__ = ["erase_spoken"]

_SOUNDING = or_(
    utterances.c.bytes.is_not(None),
    exists().where(
        renderings.c.utterance_id == utterances.c.id,
        or_(renderings.c.bytes.is_not(None), renderings.c.state.in_(UNDER_WAY)),
    ),
    exists().where(analyses.c.utterance_id == utterances.c.id, analyses.c.contours.is_not(None)),
)
"""There is a recording of it, or a rendering, or one is asked for, or its melody is known."""


async def erase_spoken(database: Database, blobs: Blobs, tiers: Renderings) -> int:
    """Delete the sound of what was said in erased voices, in both tiers, and what was measured of it.

    What is being said meanwhile is found the next time.

    Args:
        tiers: Ends what is being rendered.

    Returns:
        Of how many replies.

    Raises:
        StoreError: If a part could not be deleted; ask again.
    """
    said = utterances
    query = select(said.c.id, said.c.session_id).where(
        and_(said.c.voice.in_(select(erased_voices.c.id)), said.c.state != "recording", _SOUNDING)
    )
    async with database.begin() as connection:
        found = (await connection.execute(query)).all()
    for row in found:
        await tiers.cancel(row.id)
        # The row last: as long as it tells of a recording, it is looked for.
        await blobs.delete([blob_key(row.session_id, row.id)])
        silent = {"blob_key": None, "sha256": None, "bytes": None, "duration_ms": None, "sample_rate": None}
        async with database.begin() as connection:
            await connection.execute(delete(analyses).where(analyses.c.utterance_id == row.id))
            await connection.execute(update(said).where(said.c.id == row.id).values(state="empty", **silent))
    return len(found)
