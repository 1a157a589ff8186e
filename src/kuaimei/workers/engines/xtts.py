"""XTTS v2 (Casanova et al. 2024, "XTTS"): streaming voice cloning.

Written against ``coqui-tts`` 0.28.0: ``TTS.tts.configs.xtts_config.XttsConfig`` (``load_json``),
``TTS.tts.models.xtts.Xtts`` (``init_from_config``, ``load_checkpoint(config, checkpoint_dir, …)``,
``get_conditioning_latents(audio_path, …)`` → ``(latents, embedding)``, ``inference_stream(text, language,
gpt_cond_latent, speaker_embedding, …, speed, enable_text_splitting)`` yielding tensors at 24 kHz) and
``TTS.utils.manage.ModelManager.download_model(name)``. Tested against that contract and, where the package is
installed, with random weights; not with the real ones.
"""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import EngineError
from kuaimei.settings import Settings
from kuaimei.workers.engines._device import device_of
from kuaimei.workers.text_preparation import language_of, simplified
from kuaimei.workers.threaded import open_in_thread
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Options, TTSEngine

__all__ = ["CARD"]

_NAME: Final = "tts_models/multilingual/multi-dataset/xtts_v2"
_LANGUAGES: Final = {"zh": "zh-cn", "en": "en"}
_REMEMBERED: Final = 16
"""References whose latents are cached; computing them takes longer than synthesizing the first audio."""


class _Xtts:
    voices: Sequence[str] = ()

    def __init__(self, model: Any, rate: int, settings: Settings) -> None:
        self._model = model
        self._settings = settings
        self._latents: dict[Path, Any] = {}
        self.sample_rate = rate

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        if speech.reference is None:
            raise EngineError("xtts needs a reference recording")
        latents, embedding = self._of(speech.reference.path)
        pieces = self._model.inference_stream(
            simplified(speech.text, self._settings),
            _LANGUAGES[language_of(speech.text)],
            latents,
            embedding,
            speed=speech.speed,
            enable_text_splitting=True,
        )
        for piece in pieces:
            yield np.asarray(piece.cpu().numpy(), np.float32).reshape(-1)

    def _of(self, path: Path) -> Any:
        if path not in self._latents:
            while len(self._latents) >= _REMEMBERED:
                del self._latents[next(iter(self._latents))]
            self._latents[path] = self._model.get_conditioning_latents(audio_path=[str(path)])
        return self._latents[path]


@asynccontextmanager
async def _open(options: Options) -> AsyncIterator[TTSEngine]:
    def make() -> _Xtts:
        options.progress("package")
        from TTS.tts.configs.xtts_config import XttsConfig
        from TTS.tts.models.xtts import Xtts

        options.progress("weights")
        folder = Path(options.model) if options.model else _downloaded()
        config = XttsConfig()
        config.load_json(str(folder / "config.json"))
        model = Xtts.init_from_config(config)
        model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
        model.to(device_of(options))
        return _Xtts(model, int(config.audio.output_sample_rate), options.settings)

    async with open_in_thread("xtts", make) as speaker:
        yield speaker


def _downloaded() -> Path:
    from TTS.utils.manage import ModelManager

    # Skip the interactive prompt: the licence has already been accepted with --accept-licence.
    os.environ["COQUI_TOS_AGREED"] = "1"
    path, _, _ = ModelManager().download_model(_NAME)
    return Path(path)


CARD = EngineSpec(
    name="xtts",
    package="coqui-tts 0.28.0",
    licence=Licence(
        code="MPL-2.0",
        weights="Coqui Public Model License 1.0.0",
        commercial=False,
        source="coqui/XTTS-v2",
    ),
    openers={"fast": _open},
    memory_mb=4000.0,
)
