"""Helpers of the ``people`` commands: access to the store, lookup by name, rows as JSON."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from kuaimei.cli import console
from kuaimei.errors import SettingsError
from kuaimei.people.names import check_name
from kuaimei.settings import Settings
from kuaimei.store import Store, open_store
from kuaimei.store.keys import Key
from kuaimei.store.people import Person
from kuaimei.store.utterance_record import LOCAL

__all__ = ["find_person", "row_as_dict", "with_store"]

T = TypeVar("T")


def with_store(work: Callable[[Store], Awaitable[T]], settings: Settings | None = None) -> T:
    """Run ``work`` with only the store open; works with or without a running server.

    Raises:
        SettingsError: If storing is disabled.
        StoreError: If the store cannot be opened.
    """
    found = settings or console.settings_from()
    if not found.store.keep:
        raise SettingsError("storing is disabled: KUAIMEI_STORE__KEEP is off")

    async def opened() -> T:
        async with open_store(found) as store:
            return await work(store)

    return asyncio.run(opened())


async def find_person(store: Store, named: str) -> Person:
    """Return the person with that name or id.

    Raises:
        NotFound: If there is none.
        NameRefused: If it is not a valid name.
    """
    if named == LOCAL or named.startswith("person_"):
        return await store.people.get(named)
    return await store.people.named(check_name(named))


def row_as_dict(row: Person | Key) -> dict[str, Any]:
    """Return the row as a dict for JSON, with times in ISO 8601."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(row).items()
    }
