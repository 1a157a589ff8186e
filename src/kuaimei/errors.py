"""All errors that this package raises on purpose, each with a one-sentence message for the user."""

__all__ = [
    "AudioError",
    "Conflict",
    "EngineError",
    "EngineUnavailable",
    "KuaimeiError",
    "NotAllowed",
    "NotFound",
    "QueueFull",
    "SettingsError",
    "StoreError",
    "Unstorable",
    "WeightsError",
]


class KuaimeiError(Exception):
    """Base of all deliberate errors; ``kind`` is the short label used in events and metrics."""

    kind = "error"


class SettingsError(KuaimeiError):
    """A setting is missing, contradictory or unsafe."""

    kind = "settings"


class AudioError(KuaimeiError):
    """Audio that cannot be decoded, or has another format than announced."""

    kind = "audio"


class WeightsError(KuaimeiError):
    """Weights are missing, damaged or cannot be fetched."""

    kind = "weights"


class EngineError(KuaimeiError):
    """An engine failed on one request; other requests are not affected."""

    kind = "engine"


class EngineUnavailable(EngineError):
    """An engine cannot be reached or did not answer in time."""

    kind = "unavailable"


class QueueFull(EngineError):
    """A bounded queue refused one more request, or the request's deadline passed while it waited."""

    kind = "queue_full"


class StoreError(KuaimeiError):
    """The database or the blob store refused an operation."""

    kind = "store"


class Unstorable(StoreError):
    """The data can never be stored: a retry is useless."""

    kind = "unstorable"


class Conflict(KuaimeiError):
    """The request conflicts with the current state."""

    kind = "conflict"


class NotAllowed(KuaimeiError):
    """The client may know of the resource, but may not perform the operation."""

    kind = "not_allowed"


class NotFound(StoreError):
    """The requested object is not stored: it never existed, or was deleted."""

    kind = "not_found"
