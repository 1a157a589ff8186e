"""Why the environment for learning could not be made."""

from kuaimei.errors import KuaimeiError

__all__ = ["BeingMade", "NotMade"]


class NotMade(KuaimeiError):
    """It could not be made; in one sentence, with what to do. Trying again later may help."""

    kind = "learning_environment"


class BeingMade(NotMade):
    """Another process is making it."""
