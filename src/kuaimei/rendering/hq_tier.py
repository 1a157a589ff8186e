"""The second tier as a whole: what renders replies beautifully, and who is told."""

from dataclasses import dataclass, field

from kuaimei.rendering.broadcast import Announcements
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.rendering.renderer import RenderingCounts

__all__ = ["HqTier"]


@dataclass(frozen=True, slots=True)
class HqTier:
    """What the server knows of it.

    Attributes:
        residency: Which heavy models are loaded.
        announcements: Of what is ready.
        counts: Of what was rendered.
    """

    model_cache: ModelCache
    announcements: Announcements = field(default_factory=Announcements)
    counts: RenderingCounts = field(default_factory=RenderingCounts)
