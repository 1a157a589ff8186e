"""Errors of installing the training environment."""

from kuaimei.errors import KuaimeiError

__all__ = ["BeingMade", "NotMade"]


class NotMade(KuaimeiError):
    """Raised if the training environment could not be installed; says what to do. A retry may help."""

    kind = "learning_environment"


class BeingMade(NotMade):
    """Raised if another process is installing it."""
