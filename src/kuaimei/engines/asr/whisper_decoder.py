"""Whisper on CTranslate2, one blocking step at a time: features, encoder, decoder.

faster-whisper supplies the log-mel features and the tokenizer; its own transcription pads every
utterance to 30 s, and the encoder's time grows with the window. Here the window is the utterance plus
half a second, which `ctranslate2` accepts. On two cores this reduces an utterance of 3.5–7 s from
2.2–2.6 s to 0.4–0.7 s with the small model, with the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_float
from kuaimei.engines.asr.hallucination_filter import Hypothesis
from kuaimei.engines.import_lock import importing
from kuaimei.engines.types import Language
from kuaimei.errors import EngineError, WeightsError

__all__ = [
    "FULL_WINDOW_S",
    "LEAST_WINDOW_S",
    "WIDE_WINDOW_S",
    "WhisperDecoder",
    "WhisperInput",
    "load_whisper",
    "opening",
]

FULL_WINDOW_S = 30.0
"""Window in seconds that Whisper was trained on."""
WIDE_WINDOW_S = 15.0
"""Nearly as reliable as the full window (a phrase of 1.6 s that looped in 5 s was right in both), in a
quarter of its time."""
_HOP = 160
_PAD_S = 0.5
LEAST_WINDOW_S = 6.0
"""Minimum window in seconds; shorter ones cause errors: 「對」 alone was recognized as its own prompt in 2 s,
and a phrase of 1.6 s was repeated endlessly in 5 s; from 6 s on both were right. 4 s take 0.08 s to encode,
6 s 0.12 s."""
_ENGLISH_BY = 7.0
"""Factor by which English must be likelier than Chinese. A lone 「好」 or 「嗯」 sounds up to six times as
English, real English mostly a hundred times; and decoding as Chinese writes English words well, not vice
versa."""
_TOKENS = 16
_TOKENS_PER_S = 12
"""Upper bound of speech: rare characters take three tokens, but fast Mandarin has 8 characters a second.
It keeps a looping decoder from generating its full 224 tokens."""
_PROMPT_TOKENS = 160
"""Number of tokens kept of a prompt (its end); the decoder has room for 223."""


@dataclass(frozen=True, slots=True)
class WhisperInput:
    """Encoder output of one piece of speech.

    Attributes:
        encoded: Encoder output, ``(1, frames / 2, d_model)``, in CTranslate2's own storage.
        language: As given, or as detected.
        speech_s: Length of the speech without padding.
    """

    encoded: Any = field(repr=False)
    language: Language
    speech_s: float


class WhisperDecoder:
    """Whisper model with its tokenizer; created by `load_whisper`, called from worker threads only."""

    def __init__(self, model: Any, tokenizer: Any, features: Any, *, multilingual_tokenizer: Any) -> None:
        self._model = model
        self._features = features
        self._tokenizer = tokenizer
        self._make_tokenizer = multilingual_tokenizer
        self._tokenizers: dict[Language, Any] = {
            language: multilingual_tokenizer(
                tokenizer, multilingual=True, task="transcribe", language=language
            )
            for language in ("zh", "en")
        }

    def encode(self, pcm: Pcm, language: Language | None, *, least_s: float = LEAST_WINDOW_S) -> WhisperInput:
        """Run the encoder, and choose between zh and en if ``language`` is None.

        Args:
            pcm: At most 30 s at 16 kHz.
            language: Spoken language.
            least_s: Minimum window in seconds; shorter speech is padded to it.

        Raises:
            EngineError: If the model failed.
        """
        speech_s = len(pcm) / ASR_RATE
        window_s = max(speech_s + _PAD_S, least_s)
        try:
            encoded = self._model.encode(self._storage(self._mel(pcm, min(window_s, FULL_WINDOW_S))))
            return WhisperInput(encoded, language or self._detect_language(encoded), speech_s)
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"Whisper could not encode {speech_s:.1f} s of audio: {error}") from error

    def decode(
        self, heard: WhisperInput, prompt: str = "", *, beams: int = 1, temperature: float = 0.0
    ) -> Hypothesis:
        """Decode the encoder output to text.

        Args:
            heard: Output of `encode`; may be decoded several times.
            prompt: Preceding text for Whisper: sets script, style and rare words.
            beams: Width of the beam search; ignored above temperature 0.
            temperature: Above 0, sample instead.

        Raises:
            EngineError: If the model failed.
        """
        tokenizer = self._tokenizers[heard.language]
        tokens = opening(tokenizer, prompt)
        most = int(_TOKENS + _TOKENS_PER_S * heard.speech_s)
        sampling: dict[str, Any] = (
            {"beam_size": beams}
            if temperature == 0.0
            else {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": temperature}
        )
        try:
            (result,) = self._model.generate(
                heard.encoded,
                [tokens],
                max_length=_max_length(most, len(tokens)),
                return_scores=True,
                return_no_speech_prob=True,
                **sampling,
            )
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"Whisper could not decode {heard.speech_s:.1f} s of audio: {error}") from error
        written: Sequence[int] = result.sequences_ids[0]
        # The score is the sum of the log probabilities (the end token's included) divided by the length.
        log_probability = float(result.scores[0]) * len(written) / (len(written) + 1)
        return Hypothesis(
            text=tokenizer.decode(list(written)).strip(),
            log_probability=log_probability,
            no_speech=float(result.no_speech_prob),
            finished=len(written) < min(most, _MOST_TOKENS),
        )

    def _mel(self, pcm: Pcm, window_s: float) -> NDArray[np.float32]:
        """Return log-mel features, shape ``(n_mels, frames)``; the encoder halves ``frames``: it is even."""
        frames = int(np.ceil(window_s * ASR_RATE / (2 * _HOP))) * 2
        samples = np.zeros(frames * _HOP, dtype=np.float32)
        kept = pcm[: len(samples)]
        samples[: len(kept)] = to_float(kept)
        mel: NDArray[np.float32] = self._features(samples, padding=0)
        return mel[:, :frames]

    def _storage(self, mel: NDArray[np.float32]) -> Any:
        import ctranslate2  # type: ignore[import-untyped]

        return ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None], dtype=np.float32))

    def _detect_language(self, encoded: Any) -> Language:
        if not self._model.is_multilingual:
            return "en"
        (ranking,) = self._model.detect_language(encoded)
        chances = dict(ranking)
        chinese = chances.get("<|zh|>", 0.0) + chances.get("<|yue|>", 0.0)
        return "en" if chances.get("<|en|>", 0.0) > _ENGLISH_BY * chinese else "zh"


_MOST_TOKENS = 224
"""Maximum number of tokens that the decoder can write after its prompt."""


def _max_length(most: int, prompt: int) -> int:
    """Return the ``max_length`` for which CTranslate2 stops after ``most`` new tokens.

    It allows ``min(max_length / 2, max_length - prompt)`` of them.
    """
    return min(448, max(2 * most, most + prompt))


def opening(tokenizer: Any, prompt: str) -> list[int]:
    """Return the tokens that open a transcript: preceding text, language, task.

    Args:
        tokenizer: faster-whisper's, of one language.
        prompt: Preceding text for Whisper; empty: none.
    """
    tokens = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    if not prompt:
        return tokens
    return [tokenizer.sot_prev, *tokenizer.encode(f" {prompt}")[-_PROMPT_TOKENS:], *tokens]


def load_whisper(path: Path, threads: int) -> WhisperDecoder:
    """Load a model converted to CTranslate2 (``model.bin``, ``tokenizer.json``, …).

    Raises:
        WeightsError: If the folder is incomplete or unreadable.
    """
    with importing():
        import ctranslate2
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor  # type: ignore[import-untyped]
        from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]

    for name in ("model.bin", "tokenizer.json"):
        if not (path / name).is_file():
            raise WeightsError(f"{path} contains no {name}; run: kuaimei models pull")
    try:
        model = ctranslate2.models.Whisper(
            str(path), device="cpu", compute_type="int8", inter_threads=1, intra_threads=threads
        )
        tokenizer = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    except Exception as error:  # both libraries raise plain exceptions for a damaged file
        raise WeightsError(
            f"{path} is not a readable Whisper model ({error}); run: kuaimei models verify"
        ) from error
    features = FeatureExtractor(feature_size=model.n_mels)
    return WhisperDecoder(model, tokenizer, features, multilingual_tokenizer=Tokenizer)
