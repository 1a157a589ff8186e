"""The engines that can be served, one module each; none imports its package before it is opened."""

from collections.abc import Mapping

from kuaimei.errors import SettingsError
from kuaimei.workers.engines import breezy, cosyvoice, f5, fish, kokoro, melo, qwen, xtts
from kuaimei.workers.types import EngineSpec

__all__ = ["ENGINES", "card"]

ENGINES: Mapping[str, EngineSpec] = {
    engine.CARD.name: engine.CARD for engine in (kokoro, f5, cosyvoice, xtts, fish, melo, breezy, qwen)
}


def card(name: str, *, licence_accepted: bool = False) -> EngineSpec:
    """Return the specification of the engine called ``name``.

    Raises:
        SettingsError: If there is none, or its licence has to be accepted first.
    """
    found = ENGINES.get(name)
    if found is None:
        raise SettingsError(f"unknown engine {name!r}; available: {', '.join(ENGINES)}")
    licence = found.licence
    if not licence.commercial and not licence_accepted:
        raise SettingsError(
            f"the weights of {name} ({licence.source}) may not be used commercially ({licence.weights}): "
            "read their licence, and pass --accept-licence if it allows your use"
        )
    return found
