"""Heavy libraries, imported one at a time.

Engines are opened side by side in threads, and their libraries import each other: two threads that
come to the same packages from different sides wait for each other's import locks, which Python ends
with an error.
"""

import importlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

__all__ = ["import_libraries", "importing"]

_lock = threading.RLock()

_LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "kokoro": ("openvino", "onnxruntime", "jieba", "pypinyin"),
    "llama": ("xllamacpp",),
    "silero": ("onnxruntime",),
    "smart-turn": ("onnxruntime", "faster_whisper.feature_extractor"),
    "vosk": ("vosk",),
    "whisper": ("ctranslate2", "tokenizers", "faster_whisper.feature_extractor", "faster_whisper.tokenizer"),
}
"""By the engine that imports them when it is opened."""


@contextmanager
def importing() -> Iterator[None]:
    """Hold this around imports that run in a thread."""
    with _lock:
        yield


def import_libraries(engines: Iterable[str]) -> None:
    """Import what ``engines`` (by name) will import when they are opened; computes nothing. Blocks.

    A library that cannot be imported is left out: the engine that needs it says so.
    """
    for engine in engines:
        for library in _LIBRARIES.get(engine, ()):
            with importing(), suppress(ImportError):
                importlib.import_module(library)
