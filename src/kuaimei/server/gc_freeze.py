"""What is loaded once and stays is not searched for garbage again and again."""

import gc

__all__ = ["freeze_heap"]


def freeze_heap() -> None:
    """Leave everything that lives now out of all later garbage collections.

    Half a million objects of libraries and models live as long as the process; a full collection walks over
    all of them, and takes 150 ms on whichever thread it happens to come, the event loop's included. To be
    called once everything is open; it takes such a collection itself.
    """
    gc.collect()
    gc.freeze()
