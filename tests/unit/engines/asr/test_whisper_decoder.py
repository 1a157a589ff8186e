"""The real path through CTranslate2, on a Whisper of random weights small enough to be made here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.asr.whisper_decoder import WhisperDecoder, load_whisper
from kuaimei.errors import WeightsError

_SPECIALS = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|ja|>", "<|translate|>"]
_SPECIALS += ["<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
_SPECIALS += [f"<|{n * 0.02:.2f}|>" for n in range(1501)]
_WIDTH, _HEADS, _LAYERS = 32, 2, 1


def _tokenizer(folder: Path) -> "tuple[Tokenizer, list[str]]":
    """Bytes for letters, and Whisper's special tokens behind them in its own order."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in _SPECIALS])
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer, letters + _SPECIALS


def _linear(spec: Any, rows: int, columns: int, rng: np.random.Generator) -> None:
    spec.weight = rng.normal(0, 0.3, (rows, columns)).astype(np.float32)
    spec.bias = np.zeros(rows, np.float32)


def _norm(spec: Any) -> None:
    spec.gamma = np.ones(_WIDTH, np.float32)
    spec.beta = np.zeros(_WIDTH, np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ctranslate2.specs import WhisperSpec  # type: ignore[import-untyped]

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer, vocabulary = _tokenizer(folder)
    rng = np.random.default_rng(7)
    spec = WhisperSpec(_LAYERS, _HEADS, _LAYERS, _HEADS)
    for conv, channels in ((spec.encoder.conv1, 80), (spec.encoder.conv2, _WIDTH)):
        conv.weight = rng.normal(0, 0.1, (_WIDTH, channels, 3)).astype(np.float32)
        conv.bias = np.zeros(_WIDTH, np.float32)
    spec.encoder.position_encodings.encodings = rng.normal(0, 1, (1500, _WIDTH)).astype(np.float32)
    spec.decoder.position_encodings.encodings = rng.normal(0, 1, (448, _WIDTH)).astype(np.float32)
    spec.decoder.embeddings.weight = rng.normal(0, 1, (len(vocabulary), _WIDTH)).astype(np.float32)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    for half in (spec.encoder, spec.decoder):
        _norm(half.layer_norm)
        for layer in half.layer:
            attentions = [layer.self_attention]
            _linear(layer.self_attention.linear[0], 3 * _WIDTH, _WIDTH, rng)
            if half is spec.decoder:
                attentions.append(layer.attention)
                _linear(layer.attention.linear[0], _WIDTH, _WIDTH, rng)
                _linear(layer.attention.linear[1], 2 * _WIDTH, _WIDTH, rng)
            for attention in attentions:
                _norm(attention.layer_norm)
                _linear(attention.linear[-1], _WIDTH, _WIDTH, rng)
            _norm(layer.ffn.layer_norm)
            _linear(layer.ffn.linear_0, 4 * _WIDTH, _WIDTH, rng)
            _linear(layer.ffn.linear_1, _WIDTH, 4 * _WIDTH, rng)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [tokenizer.token_to_id("<|endoftext|>")]
    spec.config.alignment_heads = [[0, 0]]
    spec.config.lang_ids = [tokenizer.token_to_id(name) for name in ("<|en|>", "<|zh|>", "<|ja|>")]
    spec.register_vocabulary(vocabulary)
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(folder))
    return folder


@pytest.fixture(scope="module")
def decoder(folder: Path) -> WhisperDecoder:
    return load_whisper(folder, 1)


def noise(seconds: float) -> Pcm:
    return np.random.default_rng(3).normal(0, 2000, int(seconds * 16_000)).astype(np.int16)


@pytest.mark.parametrize(
    ("seconds", "least_s", "frames"),
    [(4.0, 1, 225), (0.2, 4, 200), (4.0, 30, 1500), (29.9, 8, 1500), (3.999, 2, 225), (9.5, 8, 500)],
)
def test_the_window_is_cut_to_the_utterance_and_half_a_second(
    decoder: WhisperDecoder, seconds: float, least_s: float, frames: int
) -> None:
    heard = decoder.encode(noise(seconds), "zh", least_s=least_s)
    assert list(heard.encoded.shape) == [1, frames, _WIDTH]
    assert heard.speech_s == pytest.approx(seconds)


def test_language_is_as_told_or_one_of_the_two(decoder: WhisperDecoder) -> None:
    assert decoder.encode(noise(1), "en").language == "en"
    assert decoder.encode(noise(1), "zh").language == "zh"
    assert decoder.encode(noise(1), None).language in ("zh", "en")


def test_one_encoding_is_decoded_several_times_with_the_same_words(decoder: WhisperDecoder) -> None:
    heard = decoder.encode(noise(1), "zh")
    first = decoder.decode(heard, "以下是臺灣繁體中文的句子。")
    assert decoder.decode(heard, "以下是臺灣繁體中文的句子。") == first
    assert first.log_probability < 0
    assert 0 <= first.no_speech <= 1
    assert decoder.decode(heard, "以下是臺灣繁體中文的句子。", beams=3).log_probability < 0
    assert decoder.decode(heard, temperature=0.8).log_probability < 0


@pytest.mark.parametrize("prompt", ["", "x", "很長的前文。" * 60])
@pytest.mark.parametrize("seconds", [0.3, 2.0, 25.0])
def test_a_decoder_that_never_ends_is_stopped_and_says_so(
    decoder: WhisperDecoder, prompt: str, seconds: float
) -> None:
    """Random weights hardly ever hit upon the end; Whisper's own limit of 224 tokens still holds."""
    draft = decoder.decode(decoder.encode(noise(seconds), "zh"), prompt)
    tokens = len(draft.text.encode())  # a token is a byte at most here; special ones have no text
    assert tokens <= min(16 + 12 * seconds, 224) * 3  # undecodable bytes become three-byte marks
    assert not draft.finished


def test_incomplete_and_damaged_folders_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"contains no model\.bin"):
        load_whisper(tmp_path, 1)
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(WeightsError, match=r"contains no tokenizer\.json"):
        load_whisper(tmp_path, 1)
    (tmp_path / "tokenizer.json").write_text(json.dumps({}))
    with pytest.raises(WeightsError, match="not a readable Whisper model"):
        load_whisper(tmp_path, 1)
