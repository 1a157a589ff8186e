"""Heavy libraries, imported one at a time.

Engines are opened side by side in threads, and their libraries import each other: two threads that
come to the same packages from different sides wait for each other's import locks, which Python ends
with an error.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["importing"]

_lock = threading.RLock()


@contextmanager
def importing() -> Iterator[None]:
    """Hold this around imports that run in a thread."""
    with _lock:
        yield
