"""Every error this package raises on purpose, each with one sentence for its reader."""

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
    """Audio that cannot be decoded, or is of a form that was not promised."""

    kind = "audio"


class WeightsError(KuaimeiError):
    """Weights are missing, damaged or cannot be fetched."""

    kind = "weights"


class EngineError(KuaimeiError):
    """An engine failed on one request; others are unharmed."""

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
    """What was to be kept can never be kept: to try again changes nothing."""

    kind = "unstorable"


class Conflict(KuaimeiError):
    """What was asked for does not go with how things are now."""

    kind = "conflict"


class NotAllowed(KuaimeiError):
    """Whoever asks may not do that, though they may know of it."""

    kind = "not_allowed"


class NotFound(StoreError):
    """What was asked for is not kept: it never was, or it was deleted."""

    kind = "not_found"
