"""What was learned of a voice, kept in a folder so that judging it again costs no learning."""

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
    """The result of one step.

    Attributes:
        style: Shape ``(256,)`` float32.
        decoder: File with the difference of its decoder; None: the stock one.
        took_s: Seconds of wall clock that the step took.
    """

    style: NDArray[np.float32]
    decoder: Path | None
    language: Language
    took_s: float


class TrainingCache:
    """Results by voice and step.

    Args:
        root: Made when something is kept.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def key(self, name: str, pcm: Pcm, transcript: str) -> str:
        """What results of this reference go by: another recording or text has others."""
        digest = sha256(to_bytes(pcm) + transcript.encode()).hexdigest()[:12]
        return f"{name}-{digest}"

    def find(self, key: str, step: str) -> CachedTraining | None:
        """The result of that step; None: there is none.

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
                raise ValueError("a file is missing or of another shape")
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
        """Keep a result, in the place of an earlier one."""
        folder = self._root / key / step
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FACTS).unlink(missing_ok=True)
        np.save(folder / _STYLE, style.astype(np.float32), allow_pickle=False)
        if decoder is not None:
            (folder / _DECODER).write_bytes(decoder)
        facts = {"language": language, "decoder": decoder is not None, "took_s": round(took_s, 1)}
        part = folder / f"{_FACTS}.part"
        part.write_text(json.dumps(facts), encoding="utf-8")
        part.replace(folder / _FACTS)  # the last: then all is there
        return CachedTraining(style, None if decoder is None else folder / _DECODER, language, took_s)
