"""BreezyVoice (Hsu et al. 2025, "BreezyVoice"): Taiwanese Mandarin, with readings forced in bopomofo.

Written against the repository's ``single_inference.py``: ``CustomCosyVoice(model_dir)`` with
``frontend.text_normalize_new(text, split)`` and ``inference_zero_shot_no_normalize(tts_text, prompt_text,
prompt_speech_16k)`` → ``{"tts_speech": (1, n) tensor}`` at 22050 Hz, ``get_bopomofo_rare(text, converter)``,
``g2pw.G2PWConverter()`` and ``cosyvoice.utils.file_utils.load_wav(path, rate)``. The lexicon's own readings
are inserted first (``垃[:ㄌㄜ4]``), so that ``get_bopomofo_rare`` keeps them. Tested against that contract,
not with real weights.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import EngineError
from kuaimei.settings import Settings
from kuaimei.workers.text_preparation import sentences, spelled_out, with_bopomofo
from kuaimei.workers.threaded import open_in_thread
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Options, TTSEngine

__all__ = ["CARD"]

_WEIGHTS: Final = "MediaTek-Research/BreezyVoice-300M"
_RATE: Final = 22_050
_REFERENCE_RATE: Final = 16_000


class _Breezy:
    voices: Sequence[str] = ()
    sample_rate = _RATE

    def __init__(
        self, model: Any, spell: Callable[[str], str], load: Callable[[str, int], Any], settings: Settings
    ) -> None:
        self._model = model
        self._spell = spell
        self._load = load
        self._settings = settings

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        if speech.reference is None:
            raise EngineError("breezy needs a reference recording")
        prompt = self._prepared(speech.reference.transcript)
        recording = self._load(str(speech.reference.path), _REFERENCE_RATE)
        for sentence in sentences(spelled_out(speech.text, self._settings)):
            output = self._model.inference_zero_shot_no_normalize(self._prepared(sentence), prompt, recording)
            yield np.asarray(output["tts_speech"].cpu().numpy(), np.float32).reshape(-1)

    def _prepared(self, text: str) -> str:
        text = with_bopomofo(text, self._settings)
        return self._spell(self._model.frontend.text_normalize_new(text, split=False))


@asynccontextmanager
async def _open(options: Options) -> AsyncIterator[TTSEngine]:
    def make() -> _Breezy:
        options.progress("packages")
        from cosyvoice.utils.file_utils import load_wav
        from g2pw import G2PWConverter
        from single_inference import CustomCosyVoice, get_bopomofo_rare

        options.progress("weights")
        model, converter = CustomCosyVoice(options.model or _WEIGHTS), G2PWConverter()

        def spell(text: str) -> str:
            spelled: str = get_bopomofo_rare(text, converter)
            return spelled

        return _Breezy(model, spell, load_wav, options.settings)

    async with open_in_thread("breezy", make) as speaker:
        yield speaker


CARD = EngineSpec(
    name="breezy",
    package="BreezyVoice repository, 2025",
    licence=Licence(code="Apache-2.0", weights="Apache-2.0", commercial=True, source=_WEIGHTS),
    openers={"fast": _open},
    memory_mb=4000.0,
    transcript=True,
    speed=False,
)
