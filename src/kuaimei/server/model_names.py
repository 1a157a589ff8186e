"""By which names this server's models can be asked for."""

from pathlib import Path
from urllib.parse import urlsplit

from kuaimei.http.errors import ApiError
from kuaimei.models.source import EngineSource, Role
from kuaimei.server.services import AppRuntime

__all__ = ["DEFAULT_MODEL_ID", "check_model", "has_own_model", "model_id", "models_for"]

DEFAULT_MODEL_ID = "kuaimei"
"""The whole server: whatever plays the role that a request needs."""

_NAMED: tuple[Role, ...] = ("llm", "asr", "tts")


def model_id(source: EngineSource) -> str:
    """A short name: of the catalogue, of the file, or of the far host; whole paths are nobody's business."""
    if source.url:
        return urlsplit(source.url).hostname or source.engine
    name = source.name
    return Path(name).stem if "/" in name or "\\" in name else name


def models_for(runtime: AppRuntime, role: Role | None = None) -> tuple[str, ...]:
    """Names for ``role``, or for all of them; the first is the server's own."""
    ids = (model_id(s) for s in runtime.loaded if s.role == role or (role is None and s.role in _NAMED))
    return tuple(dict.fromkeys((DEFAULT_MODEL_ID, *ids)))


def has_own_model(runtime: AppRuntime) -> bool:
    """The language model computes in this process."""
    return any(source.role == "llm" and not source.url for source in runtime.loaded)


def check_model(runtime: AppRuntime, role: Role, name: str) -> str:
    """``name`` if it can be used for ``role``.

    Raises:
        ApiError: 404, naming those that can.
    """
    known = models_for(runtime, role)
    if name not in known:
        raise ApiError(
            f"no model for this is called {name[:80]!r}; there are: {', '.join(known)}",
            status=404,
            code="model_not_found",
            param="model",
        )
    return name
