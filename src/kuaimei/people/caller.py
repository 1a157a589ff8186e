"""Who is asking, and how they came in."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:  # a worker asks for keys, too, and has no store
    from kuaimei.store.people import Role

__all__ = ["LOCAL", "OPEN", "Caller", "Via"]

LOCAL: Final = "local"
"""Id and name of the person that the machine's own key is; the same as `kuaimei.store.utterance_record.LOCAL`."""

Via: TypeAlias = Literal["api_key", "machine_key", "key", "proxy", "open"]
"""By the key in the settings, the machine's own, a person's, what a proxy says, or without any."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in.

    Attributes:
        person: Id of who it is, to whom belongs what they leave.
        key: By which key they came: its id, or the digest of the machine's own; empty: by none that can be
            revoked.
    """

    person: str
    name: str
    role: "Role"
    via: Via
    key: str = ""


OPEN: Final = Caller(LOCAL, LOCAL, "operator", "open")
"""Whoever comes where no key is asked for."""
