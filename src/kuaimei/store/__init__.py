"""What is kept: sessions, turns, utterances, recordings and durable jobs.

Imported piece by piece: the database is started before the rest is imported.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kuaimei.store.open_store import open_store
    from kuaimei.store.recorder import Recorder
    from kuaimei.store.rows import Audio, Health, Session, Statistics, Turn, Utterance
    from kuaimei.store.store import Store
    from kuaimei.store.transcription_handler import Transcriber, Transcript, transcribe_with

__all__ = [
    "Audio",
    "Health",
    "Recorder",
    "Session",
    "Statistics",
    "Store",
    "Transcriber",
    "Transcript",
    "Turn",
    "Utterance",
    "open_store",
    "transcribe_with",
]

_MODULES: Final = {
    "Audio": "rows",
    "Health": "rows",
    "Recorder": "recorder",
    "Session": "rows",
    "Statistics": "rows",
    "Store": "store",
    "Transcriber": "transcription",
    "Transcript": "transcription",
    "Turn": "rows",
    "Utterance": "rows",
    "open_store": "opening",
    "transcribe_with": "transcription",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
