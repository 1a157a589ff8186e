"""The authenticated caller of a request."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:  # workers check keys, too, and have no store
    from kuaimei.store.people import Role

__all__ = ["LOCAL", "OPEN", "Caller", "Via"]

LOCAL: Final = "local"
"""Id and name of the machine key's person; same as `kuaimei.store.utterance_record.LOCAL`."""

Via: TypeAlias = Literal["api_key", "machine_key", "key", "proxy", "open"]
"""Authenticated by the configured key, the machine key, a person's key, a proxy, or not at all."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    Attributes:
        person: Id of the person, who owns what the caller stores.
        key: Id of the key used, or the digest of the machine key; empty: none that can be revoked.
    """

    person: str
    name: str
    role: "Role"
    via: Via
    key: str = ""


OPEN: Final = Caller(LOCAL, LOCAL, "operator", "open")
"""Every caller of a server that asks for no key."""
