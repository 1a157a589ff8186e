"""Start-up watchdog: reports what a slow start waits for, and ends a start that hangs."""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final

__all__ = ["StartWatch"]

_FIRST_S: Final = 30.0
"""Seconds until the first report of what a slow start waits for."""
_EVERY_S: Final = 10.0
"""Seconds between further reports."""
_GRACE_S: Final = 10.0
"""Seconds allowed for an orderly exit after the time-out; then the process is killed."""


class StartWatch:
    """Context manager that ends the process with status 1 if its block is not left within ``timeout_s``.

    Before that, the stack of every thread is written to stderr. If a library holds the interpreter lock
    (GIL) for ever, no Python code can do this; ten seconds later faulthandler's own thread, which does not
    need the lock, dumps the stacks and exits. So that the missing parts are known even then, the parts still
    missing are reported each time one becomes ready.

    Args:
        timeout_s: Seconds allowed for the start.
        note: Writes a line for the user at the terminal.
        give_up: Called before the process ends, in another thread, to clean up.
    """

    def __init__(
        self, timeout_s: float, note: Callable[[str], None], give_up: Callable[[], None] = lambda: None
    ) -> None:
        self._timeout_s = timeout_s
        self._note = note
        self._give_up = give_up
        self._waiting: list[str] = []
        self._over = threading.Event()
        self._stderr = sys.__stderr__ or 2
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._tell, name="start watch", daemon=True)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start began."""
        return time.monotonic() - self._begun

    def expect(self, parts: Iterable[str]) -> None:
        """Set the parts that the start waits for."""
        self._waiting = list(parts)

    def ready(self, part: str) -> None:
        """Report that ``part`` has become ready."""
        self._waiting = [other for other in self._waiting if other != part]
        rest = f"; waiting for {', '.join(self._waiting)}" if self._waiting else ""
        self._note(f"  ready: {part} ({self.elapsed_s:.1f} s){rest}")

    def close(self) -> None:
        """Stop watching, because the start is over; idempotent."""
        faulthandler.cancel_dump_traceback_later()
        self._over.set()

    def __enter__(self) -> "StartWatch":
        self._begun = time.monotonic()
        faulthandler.dump_traceback_later(self._timeout_s + _GRACE_S, exit=True, file=self._stderr)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self) -> None:
        tell_at = min(_FIRST_S, self._timeout_s)
        while not self._over.wait(tell_at - self.elapsed_s):
            waiting = ", ".join(self._waiting) or "the libraries"
            if tell_at >= self._timeout_s:
                self._note(
                    f"kuaimei: not ready after {self._timeout_s:g} s, still waiting for {waiting}; "
                    "exiting now, the stacks of all threads follow. If the disk is slow, raise "
                    "KUAIMEI_SERVER__START_TIMEOUT_S; otherwise start again, and report it with these lines."
                )
                faulthandler.dump_traceback(file=self._stderr)
                self._give_up()
                os._exit(1)
            self._note(f"  waiting for: {waiting} ({self.elapsed_s:.0f} s)")
            tell_at = min(self.elapsed_s + _EVERY_S, self._timeout_s)
