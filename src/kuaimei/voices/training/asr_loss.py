"""Who minds the words while a voice is learned: the light Whisper, where it is installed.

It is not the recogniser that ``kuaimei bench clone`` judges by: what a voice is learned through is no judge.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kuaimei.engines.asr.whisper import SCRIPT_PROMPTS
from kuaimei.engines.asr.whisper_decoder import opening
from kuaimei.engines.types import Language
from kuaimei.errors import WeightsError

__all__ = ["ASR_LOSS_MODEL", "write_asr_loss_spec"]

ASR_LOSS_MODEL: Final = "whisper-base"
"""Its folder among the weights."""
_SILENT: Final = re.compile(r"[^\w'’]+")


def write_asr_loss_spec(folder: Path, lines: Sequence[str], language: Language) -> dict[str, Any] | None:
    """What a job for learning says of it (`kuaimei.training.job.AsrLossSpec`); None: not installed.

    The lines are put to it without punctuation, which nobody can hear.

    Args:
        folder: Of its weights.
        lines: What is practised.
        language: Of the lines.

    Raises:
        WeightsError: If its weights are damaged.
    """
    import tokenizers
    from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]

    weights, vocabulary = folder / "model.bin", folder / "tokenizer.json"
    if not (weights.is_file() and vocabulary.is_file()):
        return None
    try:
        plain = tokenizers.Tokenizer.from_file(str(vocabulary))
    except Exception as error:  # it has no class of its own
        raise WeightsError(f"{vocabulary} cannot be read ({error}); run: kuaimei models verify") from error

    tokenizer = Tokenizer(plain, multilingual=True, task="transcribe", language=language)
    return {
        "weights": str(weights),
        "before": opening(tokenizer, SCRIPT_PROMPTS[language]),
        "lines": [[*tokenizer.encode(_spoken(line, language)), tokenizer.eot] for line in lines],
    }


def _spoken(line: str, language: Language) -> str:
    words = _SILENT.sub(" ", line).strip()
    return words.replace(" ", "") if language == "zh" else f" {words}"
