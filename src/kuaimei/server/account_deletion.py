"""Deletion of everything that belongs to a person: runs in the background and resumes after a crash."""

import asyncio
from typing import Final

from kuaimei.errors import StoreError
from kuaimei.people.erasure import Forgotten, forget, forget_marked
from kuaimei.server.protocols import AppRuntime

__all__ = ["AccountDeletion"]

_TEND_S: Final = 60.0


class AccountDeletion:
    """Deletes everything that belongs to a person, one deletion at a time.

    Args:
        runtime: Provides the store, the voices and the data folder.
    """

    def __init__(self, runtime: AppRuntime) -> None:
        self._runtime = runtime
        self._alone = asyncio.Lock()
        self._under_way: dict[str, asyncio.Task[Forgotten]] = {}

    async def forget(self, person: str, patience_s: float) -> Forgotten | None:
        """Delete everything that belongs to ``person``.

        Args:
            person: Id.
            patience_s: Seconds to wait for the result.

        Returns:
            The result; None if it takes longer than ``patience_s``: the deletion continues in the background.

        Raises:
            StoreError: If a part could not be deleted; `tend` tries it again.
        """
        task = self._under_way.get(person)
        if task is None:
            task = self._under_way[person] = asyncio.create_task(self._forget(person))
            task.add_done_callback(lambda done: self._ended(person, done))
        done, _ = await asyncio.wait({task}, timeout=patience_s)
        return task.result() if done else None

    async def tend(self) -> None:
        """Resume deletions that were started and not completed; runs until cancelled."""
        while True:
            store = self._runtime.store
            if store is not None:
                async with self._alone:
                    await forget_marked(store, erase_voice=self._erase, home=self._runtime.settings.home)
            await asyncio.sleep(_TEND_S)

    async def close(self) -> None:
        """Cancel running deletions; they are resumed at the next start."""
        tasks = [*self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forget(self, person: str) -> Forgotten:
        store = self._runtime.store
        if store is None:
            return Forgotten(0, 0, ())
        async with self._alone:
            home = self._runtime.settings.home
            return await forget(store, person, "things", erase_voice=self._erase, home=home)

    async def _erase(self, voice: str) -> None:
        if self._runtime.voices is None:
            raise StoreError(f"the voice {voice} cannot be deleted: this server stores no voices")
        await self._runtime.voices.maintenance.delete(voice)

    def _ended(self, person: str, task: "asyncio.Task[Forgotten]") -> None:
        if self._under_way.get(person) is task:
            del self._under_way[person]
        if not task.cancelled():
            task.exception()  # the caller has received it, or has left
