"""The HQ tier as a whole: model cache, broadcast and counters."""

from dataclasses import dataclass, field

from kuaimei.rendering.broadcast import Announcements
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.rendering.renderer import RenderingCounts

__all__ = ["HqTier"]


@dataclass(frozen=True, slots=True)
class HqTier:
    """The parts of the HQ tier that the server uses.

    Attributes:
        model_cache: Cache of the heavy models.
        announcements: Broadcast of finished renderings.
        counts: Counters of the renderer.
    """

    model_cache: ModelCache
    announcements: Announcements = field(default_factory=Announcements)
    counts: RenderingCounts = field(default_factory=RenderingCounts)
