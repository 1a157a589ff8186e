"""XTTS with the real package and random weights: what it says is noise, how it is called is not.

Runs where ``coqui-tts`` is installed, which is in the engine's own image.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuaimei.audio.encode import encode
from kuaimei.settings import Settings
from kuaimei.workers.engines.xtts import CARD
from kuaimei.workers.types import EngineRequest, Options, ReferenceAudio

pytestmark = pytest.mark.skipif(find_spec("TTS") is None, reason="coqui-tts is only in its engine's image")

_SIGNS = [
    "[STOP]",
    "[UNK]",
    "[SPACE]",
    "[zh]",
    "[en]",
    "[START]",
    *"abcdefghijklmnopqrstuvwxyz0123456789 .,!?",
]


def _random_weights(folder: Path) -> None:
    """A checkpoint like that of XTTS v2, with 24 million numbers instead of 470."""
    import torch
    from tokenizers import Tokenizer, models  # type: ignore[import-not-found,unused-ignore]
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    torch.manual_seed(7)
    config = XttsConfig()
    small = {
        "gpt_layers": 2,
        "gpt_n_model_channels": 64,
        "gpt_n_heads": 2,
        "gpt_max_audio_tokens": 40,
        "gpt_number_text_tokens": 400,
        "decoder_input_dim": 64,
    }
    for name, value in small.items():
        setattr(config.model_args, name, value)
    config.save_json(str(folder / "config.json"))
    vocabulary = {sign: number for number, sign in enumerate(_SIGNS)}
    Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]")).save(str(folder / "vocab.json"))
    model = Xtts.init_from_config(config)
    model.tokenizer = VoiceBpeTokenizer(str(folder / "vocab.json"))
    model.init_models()
    torch.save({"model": model.state_dict()}, folder / "model.pth")


def _read(path: str, *_: Any, **__: Any) -> tuple[Any, int]:
    """As ``torchaudio.load``, which needs FFmpeg's libraries for it."""
    import soundfile  # type: ignore[import-untyped,unused-ignore]
    import torch

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate


@pytest.mark.filterwarnings("default")
async def test_the_real_package_is_called_as_it_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchaudio  # type: ignore[import-not-found,unused-ignore]

    monkeypatch.setattr(torchaudio, "load", _read)
    _random_weights(tmp_path)
    voice = tmp_path / "voice.wav"
    noise = np.random.default_rng(7).normal(0, 3000, 48_000).astype(np.int16)
    voice.write_bytes(encode(noise, 24_000, "wav"))
    options = Options(Settings(home=tmp_path), model=str(tmp_path), device="cpu")
    async with CARD.openers["fast"](options) as speaker:
        assert speaker.sample_rate == 24_000
        for text in ("今天天氣很好。", "Good morning."):
            speech = EngineRequest(text=text, reference=ReferenceAudio(voice))
            pieces = [pcm async for pcm in speaker.stream(speech)]
            assert len(pieces) >= 2, "it streams"
            assert sum(map(len, pieces)) > 24_000
