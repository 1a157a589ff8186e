"""Fun-CosyVoice 3 (Du et al. 2025, "CosyVoice 3"): streaming, voice cloning, follows instructions.

Written against the repository as of December 2025, ``cosyvoice.cli.cosyvoice``: ``AutoModel(model_dir=…)``
→ an object with ``sample_rate`` and the generators ``inference_zero_shot(tts_text, prompt_text, prompt_wav,
zero_shot_spk_id, stream, speed, text_frontend)``, ``inference_cross_lingual(tts_text, prompt_wav, …)`` and
``inference_instruct2(tts_text, instruct_text, prompt_wav, …)``, each yielding ``{"tts_speech": tensor}`` of
shape ``(1, n)``. The prompts begin as in its ``example.py``. Tested against that contract, not with real
weights.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import EngineError
from kuaimei.settings import Settings
from kuaimei.workers.text_preparation import simplified
from kuaimei.workers.threaded import open_in_thread
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Options, TTSEngine

__all__ = ["CARD"]

_WEIGHTS: Final = "FunAudioLLM/Fun-CosyVoice3-0.5B-2512"
_SYSTEM: Final = "You are a helpful assistant."
_END: Final = "<|endofprompt|>"


class _CosyVoice:
    voices: Sequence[str] = ()

    def __init__(self, model: Any, settings: Settings) -> None:
        self._model = model
        self._settings = settings
        self.sample_rate = int(model.sample_rate)

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        for piece in self._inference(speech):
            yield np.asarray(piece["tts_speech"].cpu().numpy(), np.float32).reshape(-1)

    def _inference(self, speech: EngineRequest) -> Iterator[Any]:
        if speech.reference is None:
            raise EngineError("cosyvoice needs a reference recording")
        text = simplified(speech.text, self._settings)
        path = str(speech.reference.path)
        transcript = simplified(speech.reference.transcript, self._settings)
        # CosyVoice changes the speed of whole sentences only, not of streams.
        how = {"stream": speech.mode == "fast" and speech.speed == 1.0, "speed": speech.speed}
        pieces: Iterator[Any]
        if speech.instructions:
            told = f"{_SYSTEM} {simplified(speech.instructions, self._settings)}{_END}"
            pieces = self._model.inference_instruct2(text, told, path, **how)
        elif transcript:
            pieces = self._model.inference_zero_shot(text, f"{_SYSTEM}{_END}{transcript}", path, **how)
        else:
            pieces = self._model.inference_cross_lingual(f"{_SYSTEM}{_END}{text}", path, **how)
        return pieces


@asynccontextmanager
async def _open(options: Options) -> AsyncIterator[TTSEngine]:
    def make() -> _CosyVoice:
        options.progress("package")
        from cosyvoice.cli.cosyvoice import AutoModel

        options.progress("weights")
        return _CosyVoice(AutoModel(model_dir=options.model or _WEIGHTS), options.settings)

    async with open_in_thread("cosyvoice", make) as speaker:
        yield speaker


CARD = EngineSpec(
    name="cosyvoice",
    package="CosyVoice repository, December 2025",
    licence=Licence(code="Apache-2.0", weights="Apache-2.0", commercial=True, source=_WEIGHTS),
    openers={"fast": _open},
    memory_mb=6000.0,
    instructions=True,
)
