"""A voice at once, with the real Kokoro and the real encoders: somebody whom no stock voice is."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, from_float
from kuaimei.audio.pitch import summarise_pitch, track_pitch
from kuaimei.audio.silence import trim_silence
from kuaimei.engines.speaker import open_encoder
from kuaimei.engines.tts.kokoro.assets import load_alphabet, load_voices, style_of
from kuaimei.engines.tts.kokoro.g2p import load_phonemes
from kuaimei.engines.tts.kokoro.runtime import RATE, OnnxRuntime, SynthesisInput
from kuaimei.settings import Settings
from kuaimei.voices.styles.prediction import choose_style, predict_style

pytestmark = pytest.mark.models

Floats = NDArray[np.float32]
REFERENCE, SENTENCE = "請把窗戶打開一點，好不好？", "他們昨天晚上都沒有睡好。"


async def test_somebody_new_is_met_better_than_by_any_stock_voice(tmp_path: Path) -> None:
    weights = Settings().weights_dir
    missing = [
        one for one in ("ge2e", "campplus", "eres2net") if not (weights / one / "model.onnx").is_file()
    ]
    if missing:
        pytest.skip(f"no weights of {' and '.join(missing)}: kuaimei models pull {' '.join(missing)}")
    kokoro = weights / "kokoro"
    alphabet, phonemes = load_alphabet(kokoro), load_phonemes(tmp_path / "no-lexicon.toml")
    runtime, stock = OnnxRuntime(kokoro / "int8.onnx", 2), load_voices(kokoro).stock

    def say(style: Floats, text: str) -> Pcm:
        tokens = np.array([0, *alphabet.tokens(phonemes(text)), 0], np.int64)
        samples = runtime.render(SynthesisInput(tokens, style[np.newaxis], 1.0), alone=True)
        return trim_silence(from_float(samples), RATE)

    async def speak(style: Floats) -> tuple[Pcm, int]:
        return say(style, SENTENCE), RATE

    parts = [style_of(stock[name]) for name in ("zf_xiaoni", "af_nicole", "bf_isabella")]
    stranger = say(np.mean(parts, axis=0).astype(np.float32), REFERENCE)
    ge2e, campplus, judge = (open_encoder(weights / one) for one in ("ge2e", "campplus", "eres2net"))
    embedding = ge2e.embed(stranger, RATE)
    reference = [(ge2e, embedding), (campplus, campplus.embed(stranger, RATE))]
    pitch = summarise_pitch(track_pitch(stranger, RATE))
    assert pitch is not None

    predicted = predict_style(embedding, pitch, stock)
    chosen = await choose_style(embedding, reference, pitch, stock, speak)

    wanted = judge.embed(stranger, RATE)
    nearest = wanted @ judge.embed(say(style_of(stock[predicted.nearest]), SENTENCE), RATE)
    assert wanted @ judge.embed(say(chosen.style, SENTENCE), RATE) > nearest + 0.05
    assert chosen.nearest == predicted.nearest
    assert 0.7 < chosen.similarity <= 1.0
    heard = summarise_pitch(track_pitch(say(predicted.style, SENTENCE), RATE))
    assert heard is not None
    assert heard.mean_hz == pytest.approx(pitch.mean_hz, rel=0.15)
