"""What engines are built from, and the table that names them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TypeAlias, TypeVar

from kuaimei.engines.scheduling import Scheduler
from kuaimei.errors import SettingsError
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings

__all__ = ["EngineContext", "Factory", "find_factory"]

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What a factory may use.

    Attributes:
        settings: Everything configured.
        cores: The lane of this machine's cores, shared by all engines that compute here.
    """

    settings: Settings
    cores: Scheduler


Factory: TypeAlias = Callable[[EngineContext, EngineSource], AbstractAsyncContextManager[E]]
"""Opens an engine, warmed and ready; leaving the context lets go of it."""


def find_factory(kind: str, table: Mapping[str, Factory[E]], source: EngineSource) -> Factory[E]:
    """The factory for ``source``: of the server's own ``table``, or an entry point ``kuaimei.engines.KIND``.

    Raises:
        SettingsError: If nothing goes by that name.
    """
    if source.engine in table:
        return table[source.engine]
    for entry in entry_points(group=f"kuaimei.engines.{kind}", name=source.engine):
        factory: Factory[E] = entry.load()
        return factory
    known = ", ".join(sorted({*table, *entry_points(group=f"kuaimei.engines.{kind}").names}))
    raise SettingsError(f"no {kind} engine is called {source.engine!r}; there are: {known}")
