"""Storage of sessions, turns, utterances, recordings and durable jobs.

Names are imported lazily: the database is started before the rest is imported.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kuaimei.store.recorder import Recorder
    from kuaimei.store.rows import Audio, Health, SessionRow, Statistics, TurnRow, UtteranceRow
    from kuaimei.store.store import Store
    from kuaimei.store.store_startup import open_store
    from kuaimei.store.transcription_handler import StoredTranscript, Transcriber, transcribe_with

__all__ = [
    "Audio",
    "Health",
    "Recorder",
    "SessionRow",
    "Statistics",
    "Store",
    "StoredTranscript",
    "Transcriber",
    "TurnRow",
    "UtteranceRow",
    "open_store",
    "transcribe_with",
]

_MODULES: Final = {
    "Audio": "rows",
    "Health": "rows",
    "Recorder": "recorder",
    "SessionRow": "rows",
    "Statistics": "rows",
    "Store": "store",
    "Transcriber": "transcription_handler",
    "StoredTranscript": "transcription_handler",
    "TurnRow": "rows",
    "UtteranceRow": "rows",
    "open_store": "store_startup",
    "transcribe_with": "transcription_handler",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
