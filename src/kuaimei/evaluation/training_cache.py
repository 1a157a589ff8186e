"""Cache of training results, so that a voice can be evaluated again without training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, to_bytes
from kuaimei.engines.types import Language
from kuaimei.errors import SettingsError

__all__ = ["CachedTraining", "TrainingCache"]

_STYLE: Final = "style.npy"
_DECODER: Final = "decoder.npz"
_FACTS: Final = "learned.json"


@dataclass(frozen=True, slots=True)
class CachedTraining:
    """Result of one training step.

    Attributes:
        style: Shape ``(256,)`` float32.
        decoder: File with the difference of its decoder; None: the stock one.
        language: Language of the voice.
        took_s: Seconds of wall clock that the step took.
    """

    style: NDArray[np.float32]
    decoder: Path | None
    language: Language
    took_s: float


class TrainingCache:
    """Training results by voice and step.

    Args:
        root: Folder of the cache, created with the first result.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def key(self, name: str, pcm: Pcm, transcript: str) -> str:
        """Return the cache key of a reference; it depends on recording and text.

        Args:
            name: Name of the reference.
            pcm: Int16 samples of the recording.
            transcript: What is said in it.
        """
        digest = sha256(to_bytes(pcm) + transcript.encode()).hexdigest()[:12]
        return f"{name}-{digest}"

    def find(self, key: str, step: str) -> CachedTraining | None:
        """Return the result of that step; None if there is none.

        Raises:
            SettingsError: If it is damaged.
        """
        folder = self._root / key / step
        try:
            facts: Mapping[str, object] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SettingsError(f"{folder} is damaged ({error}): delete it") from error
        try:
            style = np.load(folder / _STYLE, allow_pickle=False).astype(np.float32)
            decoder = folder / _DECODER if facts["decoder"] else None
            if style.shape != (256,) or (decoder is not None and not decoder.is_file()):
                raise ValueError("a file is missing or has another shape")
            return CachedTraining(
                style, decoder, "en" if facts["language"] == "en" else "zh", float(str(facts["took_s"]))
            )
        except (OSError, ValueError, KeyError) as error:
            raise SettingsError(f"{folder} is damaged ({error}): delete it") from error

    def keep(
        self,
        key: str,
        step: str,
        style: NDArray[np.float32],
        decoder: bytes | None,
        *,
        language: Language,
        took_s: float,
    ) -> CachedTraining:
        """Store a result, replacing an earlier one.

        Args:
            key: From `key`.
            step: The training step.
            style: Shape ``(256,)``.
            decoder: Content of the decoder file; None: the stock decoder.
            language: Language of the voice.
            took_s: Seconds that the step took.
        """
        folder = self._root / key / step
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FACTS).unlink(missing_ok=True)
        np.save(folder / _STYLE, style.astype(np.float32), allow_pickle=False)
        if decoder is not None:
            (folder / _DECODER).write_bytes(decoder)
        facts = {"language": language, "decoder": decoder is not None, "took_s": round(took_s, 1)}
        part = folder / f"{_FACTS}.part"
        part.write_text(json.dumps(facts), encoding="utf-8")
        part.replace(folder / _FACTS)  # last: marks the folder complete
        return CachedTraining(style, None if decoder is None else folder / _DECODER, language, took_s)
