"""Lock around imports of heavy libraries, so that threads import them one at a time.

Engines are opened in parallel threads, and their libraries import each other: two threads that
reach the same packages from different sides wait for each other's import locks, which Python ends
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
"""Libraries that each engine imports when it is opened, by engine name."""


@contextmanager
def importing() -> Iterator[None]:
    """Hold the import lock; use this around imports that run in a thread."""
    with _lock:
        yield


def import_libraries(engines: Iterable[str]) -> None:
    """Import the libraries that ``engines`` (names) need when they are opened; nothing is computed. Blocks.

    A library that cannot be imported is skipped: the engine that needs it reports the error.
    """
    for engine in engines:
        for library in _LIBRARIES.get(engine, ()):
            with importing(), suppress(ImportError):
                importlib.import_module(library)
