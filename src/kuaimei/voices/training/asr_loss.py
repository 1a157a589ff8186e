"""Input of the intelligibility loss: the small Whisper and the tokenized prompts, if installed.

It is not the recognizer that ``kuaimei bench clone`` evaluates with: a training loss is no fair evaluator.
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
"""Name of its folder below the weights folder."""
_SILENT: Final = re.compile(r"[^\w'’]+")


def write_asr_loss_spec(folder: Path, lines: Sequence[str], language: Language) -> dict[str, Any] | None:
    """Build the `kuaimei.training.job.AsrLossSpec` of a training job; None if the model is not installed.

    Punctuation is removed from the prompts, because it cannot be heard.

    Args:
        folder: Folder of the Whisper weights.
        lines: Training prompts.
        language: Language of the prompts.

    Raises:
        WeightsError: If the weights are damaged.
    """
    import tokenizers
    from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]

    weights, vocabulary = folder / "model.bin", folder / "tokenizer.json"
    if not (weights.is_file() and vocabulary.is_file()):
        return None
    try:
        plain = tokenizers.Tokenizer.from_file(str(vocabulary))
    except Exception as error:  # tokenizers raises plain Exception
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
