"""Context that engine factories receive, and the lookup of factories by engine name."""

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
    """Dependencies that an engine factory may use.

    Attributes:
        settings: The server's settings.
        cores: Scheduler of this machine's cores, shared by all engines that compute locally.
    """

    settings: Settings
    cores: Scheduler


Factory: TypeAlias = Callable[[EngineContext, EngineSource], AbstractAsyncContextManager[E]]
"""Opens an engine, warmed up and ready; leaving the context closes it."""


def find_factory(kind: str, table: Mapping[str, Factory[E]], source: EngineSource) -> Factory[E]:
    """Return the factory for ``source``, from ``table`` or from the entry points ``kuaimei.engines.KIND``.

    Args:
        kind: Kind of engine, such as ``asr``.
        table: The built-in factories by name; they take precedence over entry points.
        source: Names the engine.

    Raises:
        SettingsError: If there is no engine of that name.
    """
    if source.engine in table:
        return table[source.engine]
    for entry in entry_points(group=f"kuaimei.engines.{kind}", name=source.engine):
        factory: Factory[E] = entry.load()
        return factory
    known = ", ".join(sorted({*table, *entry_points(group=f"kuaimei.engines.{kind}").names}))
    raise SettingsError(f"unknown {kind} engine {source.engine!r}; available: {known}")
