"""What the packages of the engines promise, recorded from their sources with the exact signatures.

==================  ========================================================  ===================
package             source                                                    version
==================  ========================================================  ===================
f5_tts              ``f5_tts/api.py``                                         1.1.22 (wheel)
cosyvoice           ``cosyvoice/cli/cosyvoice.py``                            December 2025
TTS                 ``TTS/tts/models/xtts.py``, ``TTS/utils/manage.py``       coqui-tts 0.28.0
melo                ``melo/api.py``                                           0.1.2
openvoice           ``openvoice/api.py``                                      v2
single_inference    ``single_inference.py``                                   BreezyVoice, 2025
qwen_tts            ``inference/qwen3_tts_model.py``                          0.1.1 (wheel)
==================  ========================================================  ===================

Each does what it may: takes what the real one takes, and gives a tone in the shape of the real answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calls", "modules"]


class Tensor:
    """As much of torch's as the adapters touch."""

    def __init__(self, array: NDArray[np.float32]) -> None:
        self._array = array

    def cpu(self) -> "Tensor":
        return self

    def numpy(self) -> NDArray[np.float32]:
        return self._array


@dataclass
class Calls:
    """What was called with what; ``seconds`` of sound come back for each."""

    made: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    speakers: list[str] | None = None

    def note(self, name: str, given: dict[str, Any]) -> None:
        self.made.append((name, {k: v for k, v in given.items() if k not in {"self", "calls"}}))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [given for made, given in self.made if made == name]


def tone(rate: int, seconds: float = 0.25) -> NDArray[np.float32]:
    wave: NDArray[np.float32] = (0.3 * np.sin(np.arange(int(rate * seconds)) / 20)).astype(np.float32)
    return wave


def modules(calls: Calls) -> dict[str, Any]:
    """By name, for ``sys.modules``."""
    torch = _module(
        "torch",
        cuda=SimpleNamespace(is_available=lambda: False),
        float32="float32",
        bfloat16="bfloat16",
        load=lambda f, map_location=None, weights_only=None: f"colour of {f}",
    )
    return {
        "torch": torch,
        "f5_tts": _module("f5_tts"),
        "f5_tts.api": _module("f5_tts.api", F5TTS=_f5(calls)),
        "cosyvoice": _module("cosyvoice"),
        "cosyvoice.cli": _module("cosyvoice.cli"),
        "cosyvoice.cli.cosyvoice": _module("cosyvoice.cli.cosyvoice", AutoModel=_cosyvoice(calls)),
        "cosyvoice.utils": _module("cosyvoice.utils"),
        "cosyvoice.utils.file_utils": _module(
            "cosyvoice.utils.file_utils", load_wav=lambda wav, target_sr: (wav, target_sr)
        ),
        "g2pw": _module("g2pw", G2PWConverter=lambda: "converter"),
        "single_inference": _breezy(calls),
        **_coqui(calls),
        "melo": _module("melo"),
        "melo.api": _module("melo.api", TTS=_melo(calls)),
        "openvoice": _module("openvoice"),
        "openvoice.api": _module("openvoice.api", ToneColorConverter=_openvoice(calls)),
        "qwen_tts": _module("qwen_tts", Qwen3TTSModel=_qwen(calls)),
    }


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(content)
    return module


def _f5(calls: Calls) -> type:
    class F5TTS:
        def __init__(
            self,
            model: Any = "F5TTS_v1_Base",
            ckpt_file: Any = "",
            vocab_file: Any = "",
            ode_method: Any = "euler",
            use_ema: Any = True,
            vocoder_local_path: Any = None,
            device: Any = None,
            hf_cache_dir: Any = None,
        ) -> None:
            calls.note("F5TTS", locals())
            self.target_sample_rate = 24_000

        def infer(
            self,
            ref_file: Any,
            ref_text: Any,
            gen_text: Any,
            show_info: Any = print,
            progress: Any = None,
            target_rms: Any = 0.1,
            cross_fade_duration: Any = 0.15,
            sway_sampling_coef: Any = -1,
            cfg_strength: Any = 2,
            nfe_step: Any = 32,
            speed: Any = 1.0,
            fix_duration: Any = None,
            remove_silence: Any = False,
            file_wave: Any = None,
            file_spec: Any = None,
            seed: Any = None,
        ) -> tuple[NDArray[np.float32], int, None]:
            calls.note("infer", locals())
            show_info("Converting audio...")
            return tone(24_000), 24_000, None

    return F5TTS


def _cosyvoice(calls: Calls) -> Any:
    class CosyVoice3:
        sample_rate = 24_000

        def inference_zero_shot(
            self,
            tts_text: Any,
            prompt_text: Any,
            prompt_wav: Any,
            zero_shot_spk_id: Any = "",
            stream: Any = False,
            speed: Any = 1.0,
            text_frontend: Any = True,
        ) -> Iterator[dict[str, Tensor]]:
            calls.note("zero_shot", locals())
            return self._spoken(stream, speed)

        def inference_cross_lingual(
            self,
            tts_text: Any,
            prompt_wav: Any,
            zero_shot_spk_id: Any = "",
            stream: Any = False,
            speed: Any = 1.0,
            text_frontend: Any = True,
        ) -> Iterator[dict[str, Tensor]]:
            calls.note("cross_lingual", locals())
            return self._spoken(stream, speed)

        def inference_instruct2(
            self,
            tts_text: Any,
            instruct_text: Any,
            prompt_wav: Any,
            zero_shot_spk_id: Any = "",
            stream: Any = False,
            speed: Any = 1.0,
            text_frontend: Any = True,
        ) -> Iterator[dict[str, Tensor]]:
            calls.note("instruct2", locals())
            return self._spoken(stream, speed)

        def _spoken(self, stream: bool, speed: float) -> Iterator[dict[str, Tensor]]:
            assert not stream or speed == 1.0, "speed change only support non-stream inference mode"
            for _ in range(2 if stream else 1):
                yield {"tts_speech": Tensor(tone(24_000).reshape(1, -1))}

    def auto_model(**kwargs: Any) -> CosyVoice3:
        assert set(kwargs) <= {"model_dir", "load_trt", "load_vllm", "fp16", "trt_concurrent"}
        calls.note("AutoModel", kwargs)
        return CosyVoice3()

    return auto_model


def _coqui(calls: Calls) -> dict[str, ModuleType]:
    class XttsConfig:
        audio = SimpleNamespace(output_sample_rate=24_000)

        def load_json(self, file_name: str) -> None:
            calls.note("load_json", locals())

    class Xtts:
        @staticmethod
        def init_from_config(config: XttsConfig, **kwargs: Any) -> "Xtts":
            return Xtts()

        def load_checkpoint(
            self,
            config: Any,
            checkpoint_dir: Any = None,
            checkpoint_path: Any = None,
            vocab_path: Any = None,
            eval: Any = True,  # noqa: A002 - its name there
            strict: Any = True,
            use_deepspeed: Any = False,
            speaker_file_path: Any = None,
        ) -> None:
            calls.note("load_checkpoint", locals())

        def to(self, device: str) -> "Xtts":
            calls.note("to", locals())
            return self

        def get_conditioning_latents(
            self,
            audio_path: Any,
            max_ref_length: int = 30,
            gpt_cond_len: int = 6,
            gpt_cond_chunk_len: int = 6,
            librosa_trim_db: int | None = None,
            sound_norm_refs: bool = False,
            load_sr: int = 22050,
        ) -> tuple[str, str]:
            calls.note("latents", locals())
            return "latents", "embedding"

        def inference_stream(
            self,
            text: Any,
            language: Any,
            gpt_cond_latent: Any,
            speaker_embedding: Any,
            stream_chunk_size: Any = 20,
            overlap_wav_len: Any = 1024,
            temperature: Any = 0.75,
            length_penalty: Any = 1.0,
            repetition_penalty: Any = 10.0,
            top_k: Any = 50,
            top_p: Any = 0.85,
            do_sample: Any = True,
            speed: Any = 1.0,
            enable_text_splitting: Any = False,
            **hf_generate_kwargs: Any,
        ) -> Iterator[Tensor]:
            assert not hf_generate_kwargs
            calls.note("inference_stream", locals())
            for _ in range(3):
                yield Tensor(tone(24_000, 0.1))

    class ModelManager:
        def download_model(self, model_name: str) -> tuple[str, str, dict[str, Any]]:
            calls.note("download_model", locals())
            return "downloaded", "downloaded/config.json", {}

    return {
        "TTS": _module("TTS"),
        "TTS.tts": _module("TTS.tts"),
        "TTS.tts.configs": _module("TTS.tts.configs"),
        "TTS.tts.configs.xtts_config": _module("TTS.tts.configs.xtts_config", XttsConfig=XttsConfig),
        "TTS.tts.models": _module("TTS.tts.models"),
        "TTS.tts.models.xtts": _module("TTS.tts.models.xtts", Xtts=Xtts),
        "TTS.utils": _module("TTS.utils"),
        "TTS.utils.manage": _module("TTS.utils.manage", ModelManager=ModelManager),
    }


def _melo(calls: Calls) -> type:
    class TTS:
        def __init__(
            self,
            language: Any,
            device: Any = "auto",
            use_hf: Any = True,
            config_path: Any = None,
            ckpt_path: Any = None,
            hf_repo: Any = None,
            hf_ckpt: Any = None,
        ) -> None:
            calls.note("TTS", locals())
            self.hps = SimpleNamespace(data=SimpleNamespace(spk2id={"ZH": 1}, sampling_rate=44_100))

        def tts_to_file(
            self,
            text: Any,
            speaker_id: Any,
            output_path: Any = None,
            sdp_ratio: Any = 0.2,
            noise_scale: Any = 0.6,
            noise_scale_w: Any = 0.8,
            speed: Any = 1.0,
            pbar: Any = None,
            format: Any = None,  # noqa: A002 - its name there
            position: Any = None,
            quiet: Any = False,
        ) -> NDArray[np.float32]:
            calls.note("tts_to_file", locals())
            return tone(44_100)

    return TTS


def _openvoice(calls: Calls) -> type:
    class ToneColorConverter:
        def __init__(self, config_path: Any, device: Any = "cuda:0") -> None:
            calls.note("ToneColorConverter", locals())
            self.hps = SimpleNamespace(data=SimpleNamespace(sampling_rate=22_050))

        def load_ckpt(self, ckpt_path: Any) -> None:
            calls.note("load_ckpt", locals())

        def extract_se(self, ref_wav_list: Any, se_save_path: Any = None) -> str:
            calls.note("extract_se", locals())
            return "colour of the reference"

        def convert(
            self,
            audio_src_path: Any,
            src_se: Any,
            tgt_se: Any,
            output_path: Any = None,
            tau: Any = 0.3,
            message: Any = "default",
        ) -> NDArray[np.float32]:
            with open(audio_src_path, "rb") as file:
                assert file.read(4) == b"RIFF"
            calls.note("convert", locals())
            return tone(22_050)

    return ToneColorConverter


def _breezy(calls: Calls) -> ModuleType:
    class FrontEnd:
        def text_normalize_new(self, text: str, split: bool = False) -> str:
            calls.note("text_normalize_new", locals())
            return text

    class CustomCosyVoice:
        def __init__(self, model_dir: Any) -> None:
            calls.note("CustomCosyVoice", {"model_dir": model_dir})
            self.frontend = FrontEnd()

        def inference_zero_shot_no_normalize(
            self, tts_text: Any, prompt_text: Any, prompt_speech_16k: Any
        ) -> dict[str, Tensor]:
            calls.note("no_normalize", locals())
            return {"tts_speech": Tensor(tone(22_050).reshape(1, -1))}

    def get_bopomofo_rare(text: str, converter: Any) -> str:
        return text.replace("乜", "乜[:ㄇㄧㄝ1]")

    return _module("single_inference", CustomCosyVoice=CustomCosyVoice, get_bopomofo_rare=get_bopomofo_rare)


def _qwen(calls: Calls) -> type:
    class Qwen3TTSModel:
        @classmethod
        def from_pretrained(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> "Qwen3TTSModel":
            calls.note("from_pretrained", {"name": pretrained_model_name_or_path, **kwargs})
            return cls()

        def get_supported_speakers(self) -> list[str] | None:
            return calls.speakers

        def create_voice_clone_prompt(
            self, ref_audio: Any, ref_text: Any = None, x_vector_only_mode: Any = False
        ) -> list[str]:
            assert ref_text or x_vector_only_mode, "ref_text is required in ICL mode"
            calls.note("create_voice_clone_prompt", locals())
            return ["prompt"]

        def generate_voice_clone(
            self,
            text: Any,
            language: Any = None,
            ref_audio: Any = None,
            ref_text: Any = None,
            x_vector_only_mode: Any = False,
            voice_clone_prompt: Any = None,
            non_streaming_mode: bool = False,
            **kwargs: Any,
        ) -> tuple[list[NDArray[np.float32]], int]:
            assert not kwargs
            calls.note("generate_voice_clone", locals())
            return [tone(24_000)], 24_000

        def generate_custom_voice(
            self,
            text: Any,
            speaker: Any,
            language: Any = None,
            instruct: Any = None,
            non_streaming_mode: bool = True,
            **kwargs: Any,
        ) -> tuple[list[NDArray[np.float32]], int]:
            assert not kwargs
            calls.note("generate_custom_voice", locals())
            return [tone(24_000)], 24_000

    return Qwen3TTSModel
