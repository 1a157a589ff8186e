"""MeloTTS, converted to the voice of a reference by OpenVoice v2 (Qin et al. 2023, "OpenVoice").

Written against MeloTTS 0.1.2, ``melo.api.TTS``: ``__init__(language, device, …)``, ``hps.data.spk2id``,
``hps.data.sampling_rate``, ``tts_to_file(text, speaker_id, output_path, …, speed, …, quiet)`` → samples if
no path is given; and OpenVoice's ``openvoice.api.ToneColorConverter``: ``__init__(config_path, device)``,
``load_ckpt(path)``, ``extract_se(ref_wav_list)``, ``convert(audio_src_path, src_se, tgt_se, output_path)`` →
samples, with its inaudible watermark. Tested against that contract, not with real weights.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import from_float, to_float
from kuaimei.audio.resample import resample
from kuaimei.errors import SettingsError
from kuaimei.settings import Settings
from kuaimei.system.files import anonymous_file, path_of
from kuaimei.workers.engines._device import device_of
from kuaimei.workers.text_preparation import sentences, simplified
from kuaimei.workers.threaded import open_in_thread
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Options, TTSEngine

__all__ = ["CARD"]

_REMEMBERED: Final = 16


class _Melo:
    def __init__(self, tts: Any, converter: Any, own_colour: Any, settings: Settings) -> None:
        self._tts = tts
        self._converter = converter
        self._own_colour = own_colour
        self._settings = settings
        self._speakers: dict[str, int] = dict(tts.hps.data.spk2id)
        self._colours: dict[Path, Any] = {}
        self.voices: Sequence[str] = tuple(self._speakers)
        self.sample_rate = int(converter.hps.data.sampling_rate)

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        speaker = self._speakers[speech.voice or next(iter(self._speakers))]
        rate = int(self._tts.hps.data.sampling_rate)
        for sentence in sentences(simplified(speech.text, self._settings)):
            plain = self._tts.tts_to_file(sentence, speaker, None, speed=speech.speed, quiet=True)
            pcm = from_float(np.asarray(plain, np.float32))
            if speech.reference is None:
                yield to_float(resample(pcm, rate, self.sample_rate))
                continue
            colour = self._speaker_embedding(speech.reference.path)
            with anonymous_file() as file:
                file.write(encode(pcm, rate, "wav"))
                file.flush()
                changed = self._converter.convert(str(path_of(file)), self._own_colour, colour, None)
            yield np.asarray(changed, np.float32)

    def _speaker_embedding(self, path: Path) -> Any:
        if path not in self._colours:
            while len(self._colours) >= _REMEMBERED:
                del self._colours[next(iter(self._colours))]
            self._colours[path] = self._converter.extract_se([str(path)])
        return self._colours[path]


@asynccontextmanager
async def _open(options: Options) -> AsyncIterator[TTSEngine]:
    def make() -> _Melo:
        if not options.model:
            raise SettingsError("give the path of OpenVoice's checkpoints_v2 folder: --model FOLDER")
        options.progress("packages")
        import torch
        from melo.api import TTS
        from openvoice.api import ToneColorConverter

        options.progress("weights")
        folder, device = Path(options.model), device_of(options)
        tts = TTS(language="ZH", device=device)
        converter = ToneColorConverter(str(folder / "converter" / "config.json"), device=device)
        converter.load_ckpt(str(folder / "converter" / "checkpoint.pth"))
        colour = folder / "base_speakers" / "ses" / "zh.pth"
        own = torch.load(str(colour), map_location=device, weights_only=True)
        return _Melo(tts, converter, own, options.settings)

    async with open_in_thread("melo", make) as speaker:
        yield speaker


CARD = EngineSpec(
    name="melo",
    package="MeloTTS 0.1.2 and OpenVoice v2",
    licence=Licence(
        code="MIT",
        weights="MIT",
        commercial=True,
        source="myshell-ai/MeloTTS-Chinese, myshell-ai/OpenVoiceV2",
    ),
    openers={"fast": _open},
    memory_mb=2000.0,
)
