"""Qwen3-TTS: voice cloning (Base weights), or its own voices with instructions (CustomVoice weights).

Written against ``qwen-tts`` 0.1.1, ``qwen_tts.Qwen3TTSModel``: ``from_pretrained(name, **kwargs)``,
``get_supported_speakers()``, ``create_voice_clone_prompt(ref_audio, ref_text, x_vector_only_mode)``,
``generate_voice_clone(text, language, …, voice_clone_prompt)`` and ``generate_custom_voice(text, speaker,
language, instruct)``, both → ``([samples], rate)``. Tested against that contract, not with real weights.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import EngineError
from kuaimei.settings import Settings
from kuaimei.workers.engines._device import device_of
from kuaimei.workers.text_preparation import language_of, sentences, simplified
from kuaimei.workers.threaded import open_in_thread
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Options, ReferenceAudio, TTSEngine

__all__ = ["CARD"]

_WEIGHTS: Final = "Qwen/Qwen3-TTS-12Hz-0.6B-Base"
_RATE: Final = 24_000
"""Output rate of its 12 Hz tokenizer, in Hz; output at any other rate is rejected."""
_LANGUAGES: Final = {"zh": "Chinese", "en": "English"}
_REMEMBERED: Final = 16


class _Qwen:
    sample_rate = _RATE

    def __init__(self, model: Any, settings: Settings) -> None:
        self._model = model
        self._settings = settings
        self._prompts: dict[ReferenceAudio, Any] = {}
        self.voices: Sequence[str] = tuple(model.get_supported_speakers() or ())

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        language = _LANGUAGES[language_of(speech.text)]
        if self.voices and speech.reference is not None:
            raise EngineError(
                "these Qwen3-TTS weights support built-in voices only; for references use the Base weights"
            )
        if not self.voices and speech.instructions:
            raise EngineError("these Qwen3-TTS weights support no instructions; use the CustomVoice weights")
        for sentence in sentences(simplified(speech.text, self._settings)):
            if speech.reference is not None:
                waves, rate = self._model.generate_voice_clone(
                    text=sentence, language=language, voice_clone_prompt=self._prompt(speech.reference)
                )
            else:
                waves, rate = self._model.generate_custom_voice(
                    text=sentence,
                    speaker=speech.voice or self.voices[0],
                    language=language,
                    instruct=speech.instructions or None,
                )
            if rate != _RATE:
                raise EngineError(f"Qwen3-TTS returned audio at {rate} Hz, not at {_RATE}")
            yield np.asarray(waves[0], np.float32)

    def _prompt(self, reference: ReferenceAudio) -> Any:
        if reference not in self._prompts:
            while len(self._prompts) >= _REMEMBERED:
                del self._prompts[next(iter(self._prompts))]
            self._prompts[reference] = self._model.create_voice_clone_prompt(
                ref_audio=str(reference.path),
                ref_text=simplified(reference.transcript, self._settings) or None,
                x_vector_only_mode=not reference.transcript,
            )
        return self._prompts[reference]


@asynccontextmanager
async def _open(options: Options) -> AsyncIterator[TTSEngine]:
    def make() -> _Qwen:
        options.progress("packages")
        import torch
        from qwen_tts import Qwen3TTSModel

        options.progress("weights")
        device = device_of(options)
        kind = torch.float32 if device == "cpu" else torch.bfloat16
        model = Qwen3TTSModel.from_pretrained(options.model or _WEIGHTS, device_map=device, dtype=kind)
        return _Qwen(model, options.settings)

    async with open_in_thread("qwen", make) as speaker:
        yield speaker


CARD = EngineSpec(
    name="qwen",
    package="qwen-tts 0.1.1",
    licence=Licence(code="Apache-2.0", weights="Apache-2.0", commercial=True, source=_WEIGHTS),
    openers={"fast": _open},
    memory_mb=3000.0,
    instructions=True,
    speed=False,
)
