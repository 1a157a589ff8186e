"""Model names that clients may request."""

from pathlib import Path
from urllib.parse import urlsplit

from kuaimei.http.errors import ApiError
from kuaimei.models.source import EngineSource, Role
from kuaimei.server.protocols import AppRuntime

__all__ = ["DEFAULT_MODEL_ID", "check_model", "has_own_model", "model_id", "models_for"]

DEFAULT_MODEL_ID = "kuaimei"
"""Name of the server as a whole: selects the model loaded for the role that a request needs."""

_NAMED: tuple[Role, ...] = ("llm", "asr", "tts")


def model_id(source: EngineSource) -> str:
    """Return a short name: from the catalogue, the file or the remote host. Full paths are not revealed."""
    if source.url:
        return urlsplit(source.url).hostname or source.engine
    name = source.name
    return Path(name).stem if "/" in name or "\\" in name else name


def models_for(runtime: AppRuntime, role: Role | None = None) -> tuple[str, ...]:
    """Return the names valid for ``role``, or for all roles; the first is the server's own."""
    ids = (model_id(s) for s in runtime.loaded if s.role == role or (role is None and s.role in _NAMED))
    return tuple(dict.fromkeys((DEFAULT_MODEL_ID, *ids)))


def has_own_model(runtime: AppRuntime) -> bool:
    """Return whether the language model runs in this process."""
    return any(source.role == "llm" and not source.url for source in runtime.loaded)


def check_model(runtime: AppRuntime, role: Role, name: str) -> str:
    """Return ``name`` if it is valid for ``role``.

    Args:
        runtime: Provides the loaded models.
        role: Role that the request needs.
        name: As requested.

    Raises:
        ApiError: 404, listing the valid names.
    """
    known = models_for(runtime, role)
    if name not in known:
        raise ApiError(
            f"unknown model {name[:80]!r} for this request; available: {', '.join(known)}",
            status=404,
            code="model_not_found",
            param="model",
        )
    return name
