"""F5-TTS: voice cloning by flow matching (Chen et al. 2024, "F5-TTS").

Written against ``f5-tts`` 1.1.22, ``f5_tts.api.F5TTS``: ``__init__(model, ckpt_file, vocab_file, ode_method,
use_ema, vocoder_local_path, device, hf_cache_dir)`` and ``infer(ref_file, ref_text, gen_text, show_info,
progress, …, nfe_step, …, speed, …, seed)`` → ``(samples, rate, spectrogram)``. Only useful on a GPU. Tested
against that contract, not with real weights.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import EngineError
from kuaimei.settings import Settings
from kuaimei.workers.engines._device import device_of
from kuaimei.workers.text_preparation import sentences, simplified
from kuaimei.workers.threaded import open_in_thread
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Mode, Options, TTSEngine

__all__ = ["CARD"]

_STEPS: Final[dict[Mode, int]] = {"fast": 16, "hq": 32}
"""Number of function evaluations: the paper's 32, and half of that for live replies."""


class _F5:
    voices: Sequence[str] = ()

    def __init__(self, api: Any, settings: Settings) -> None:
        self._api = api
        self._settings = settings
        self.sample_rate = int(api.target_sample_rate)

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        reference = speech.reference
        if reference is None:
            raise EngineError("f5 needs a reference recording")
        for sentence in sentences(simplified(speech.text, self._settings)):
            samples, _, _ = self._api.infer(
                ref_file=str(reference.path),
                ref_text=simplified(reference.transcript, self._settings),
                gen_text=sentence,
                show_info=_silent,
                progress=None,
                nfe_step=_STEPS[speech.mode],
                speed=speech.speed,
            )
            yield np.asarray(samples, np.float32)


def _silent(*words: object) -> None:
    """Discard F5-TTS's messages, which would print the text to the terminal."""


@asynccontextmanager
async def _open(options: Options) -> AsyncIterator[TTSEngine]:
    def make() -> _F5:
        options.progress("package")
        from f5_tts.api import F5TTS

        options.progress("weights")
        api = F5TTS(ckpt_file=options.model, device=device_of(options))
        return _F5(api, options.settings)

    async with open_in_thread("f5", make) as speaker:
        yield speaker


CARD = EngineSpec(
    name="f5",
    package="f5-tts 1.1.22",
    licence=Licence(
        code="MIT", weights="CC-BY-NC-4.0", commercial=False, source="SWivid/F5-TTS, F5TTS_v1_Base"
    ),
    openers={"fast": _open},
    memory_mb=3000.0,
    transcript=True,
)
