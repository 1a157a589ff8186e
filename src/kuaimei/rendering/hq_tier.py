"""The second tier as a whole: what renders replies beautifully, and who is told."""

from dataclasses import dataclass, field

from kuaimei.rendering.broadcast import Announcements
from kuaimei.rendering.model_cache import Residency
from kuaimei.rendering.renderer import Counts

__all__ = ["HqTier"]


@dataclass(frozen=True, slots=True)
class HqTier:
    """What the server knows of it.

    Attributes:
        residency: Which heavy models are loaded.
        announcements: Of what is ready.
        counts: Of what was rendered.
    """

    residency: Residency
    announcements: Announcements = field(default_factory=Announcements)
    counts: Counts = field(default_factory=Counts)
