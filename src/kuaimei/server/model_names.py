"""By which names this house's models can be asked for."""

from pathlib import Path
from urllib.parse import urlsplit

from kuaimei.http.errors import ApiError
from kuaimei.models.source import Role, Source
from kuaimei.server.services import House

__all__ = ["OWN_MODEL", "check_model", "has_own_model", "model_id", "models_for"]

OWN_MODEL = "kuaimei"
"""The whole house: whatever plays the role that a request needs."""

_NAMED: tuple[Role, ...] = ("llm", "asr", "tts")


def model_id(source: Source) -> str:
    """A short name: of the catalogue, of the file, or of the far host; whole paths are nobody's business."""
    if source.url:
        return urlsplit(source.url).hostname or source.engine
    name = source.name
    return Path(name).stem if "/" in name or "\\" in name else name


def models_for(house: House, role: Role | None = None) -> tuple[str, ...]:
    """Names for ``role``, or for all of them; the first is the house's own."""
    ids = (model_id(s) for s in house.loaded if s.role == role or (role is None and s.role in _NAMED))
    return tuple(dict.fromkeys((OWN_MODEL, *ids)))


def has_own_model(house: House) -> bool:
    """The language model computes in this process."""
    return any(source.role == "llm" and not source.url for source in house.loaded)


def check_model(house: House, role: Role, name: str) -> str:
    """``name`` if it can be used for ``role``.

    Raises:
        ApiError: 404, naming those that can.
    """
    known = models_for(house, role)
    if name not in known:
        raise ApiError(
            f"no model for this is called {name[:80]!r}; there are: {', '.join(known)}",
            status=404,
            code="model_not_found",
            param="model",
        )
    return name
