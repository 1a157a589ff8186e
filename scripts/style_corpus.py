"""Corpus of Kokoro's speech in many styles, with its measurements: the data of `scripts.fit_styles`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, from_float, to_float
from kuaimei.audio.pitch import summarise_pitch, track_pitch
from kuaimei.audio.silence import trim_silence
from kuaimei.engines.speaker import SpeakerEncoder
from kuaimei.engines.tts.kokoro.assets import load_alphabet
from kuaimei.engines.tts.kokoro.g2p import load_phonemes
from kuaimei.engines.tts.kokoro.runtime import RATE, OnnxRuntime, SynthesisInput
from kuaimei.voices.styles.prediction import inputs

SENTENCES = ("今天下午我們一起去公園散步。", "這個問題我已經想過了，你說呢？")
SEED = 20261124

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sentence to speak: a style and the stock voices that are in it."""

    number: int
    style: Floats
    voices: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Heard:
    """Measurements of a recipe's speech.

    Attributes:
        embeddings: By GE2E, plain and through bad microphones, shape ``(3, 256)``.
        campplus: By CAM++, shape ``(3, 192)``.
        pitch: Logarithm of the mean, and standard deviation of the logarithm.
    """

    recipe: Recipe
    embeddings: Floats
    campplus: Floats
    pitch: tuple[float, float]

    def inputs(self, both: bool) -> Floats:
        """Return the regression inputs, one row for each microphone, with CAM++ (``both``) or without."""
        return np.stack(
            [
                inputs(embedding, *self.pitch, campplus if both else None)
                for embedding, campplus in zip(self.embeddings, self.campplus, strict=True)
            ]
        )


def recipes(stock: Mapping[str, Floats], count: int) -> Iterator[Recipe]:
    """Yield each stock style with each sentence, then mixtures and perturbations; the same every time."""
    number = 0
    for sentence in SENTENCES:
        for name, style in stock.items():
            yield Recipe(number, style, (name,), sentence)
            number += 1
    names = list(stock)
    table = np.stack([stock[name] for name in names])
    _, spread, axes = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)
    spread = spread / np.sqrt(len(names))
    rng = np.random.default_rng(SEED)
    while number < count:
        sexes = [name[1] for name in names]
        first = int(rng.integers(len(names)))
        same = [i for i, sex in enumerate(sexes) if sex == sexes[first] and i != first]
        others = same if rng.random() < 0.8 else [i for i in range(len(names)) if i != first]
        chosen = [first, *rng.choice(others, size=int(rng.integers(1, 3)), replace=False)]
        sound = rng.dirichlet(np.full(len(chosen), 1.0))
        prosody = rng.dirichlet(np.full(len(chosen), 1.0)) if rng.random() < 0.5 else sound
        style = np.concatenate([sound @ table[chosen, :128], prosody @ table[chosen, 128:]])
        if rng.random() < 0.6:
            style = style + (rng.normal(size=len(spread)) * spread * rng.uniform(0.1, 0.45)) @ axes
        names_in = tuple(names[i] for i in chosen)
        yield Recipe(number, style.astype(np.float32), names_in, SENTENCES[number % 2])
        number += 1


def microphones(pcm: Pcm, rng: np.random.Generator) -> Iterator[Pcm]:
    """Yield ``pcm`` unchanged, then tilted in spectrum and noisy, then band-limited in a small room."""
    yield pcm
    sound = to_float(pcm)
    level = float(np.sqrt(np.mean(sound**2)))
    hz = np.fft.rfftfreq(len(sound), 1.0 / RATE)
    octaves = np.log2(np.maximum(hz, 50.0) / 1000.0)
    tilted = np.fft.irfft(np.fft.rfft(sound) * 10.0 ** (rng.uniform(-4, 4) * octaves / 20.0), len(sound))
    yield _levelled(
        tilted + rng.normal(size=len(sound)) * level * 10.0 ** (-rng.uniform(20, 35) / 20.0), level
    )
    band = (hz > rng.uniform(60, 200)) & (hz < rng.uniform(3600, 7600))
    room = rng.normal(size=RATE // 5) * np.exp(-np.arange(RATE // 5) / (RATE * rng.uniform(0.02, 0.05)))
    room *= 0.3 / np.sqrt(np.sum(room**2))
    room[0] = 1.0
    size = len(sound) + len(room)
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(room, size), size)[: len(sound)]
    yield _levelled(np.fft.irfft(np.fft.rfft(wet) * band, len(sound)), level)


def _levelled(sound: NDArray[np.float64], level: float) -> Pcm:
    return from_float(np.clip(sound * (level / np.sqrt(np.mean(sound**2))), -1.0, 1.0))


def listen(
    cache: Path, recipe: Recipe, pcm: Pcm, ge2e: SpeakerEncoder, campplus: SpeakerEncoder
) -> Heard | None:
    """Embed and measure a clip, once; return None if nothing in it is voiced.

    Args:
        cache: Folder of the results.
        recipe: What is spoken in the clip.
        pcm: The clip, at 24 kHz.
        ge2e: GE2E encoder.
        campplus: CAM++ encoder.
    """
    path = cache / f"{recipe.number}.heard.npz"
    if not path.is_file():
        pitch = summarise_pitch(track_pitch(pcm, RATE))
        takes = list(microphones(pcm, np.random.default_rng((SEED, recipe.number))))
        half = path.with_suffix(".half.npz")
        np.savez(
            half,
            embeddings=np.stack([ge2e.embed(one, RATE) for one in takes]),
            campplus=np.stack([campplus.embed(one, RATE) for one in takes]),
            pitch=(np.log(pitch.mean_hz), pitch.log_sd) if pitch else (np.nan, np.nan),
        )
        half.rename(path)
    with np.load(path) as kept:
        log_mean, log_sd = (float(one) for one in kept["pitch"])
        if np.isnan(log_mean):
            return None
        return Heard(recipe, kept["embeddings"], kept["campplus"], (log_mean, log_sd))


class Speaker:
    """Synthesizes recipes, each only once.

    Args:
        cache: Folder of the clips.
        weights: Folder of Kokoro's weights.
    """

    def __init__(self, cache: Path, weights: Path) -> None:
        alphabet = load_alphabet(weights)
        phonemes = load_phonemes(cache / "no-lexicon.toml")
        self._tokens = {s: np.array([0, *alphabet.tokens(phonemes(s)), 0], np.int64) for s in SENTENCES}
        self._runtime = OnnxRuntime(weights / "int8.onnx", 1)
        self._cache = cache

    def say(self, style: Floats, sentence: str) -> Pcm:
        """Synthesize ``sentence`` in ``style``, at 24 kHz."""
        utterance = SynthesisInput(self._tokens[sentence], style.astype(np.float32)[np.newaxis], 1.0)
        return trim_silence(from_float(np.clip(self._runtime.render(utterance, alone=True), -1.0, 1.0)), RATE)

    def clip(self, recipe: Recipe) -> Pcm:
        """Return the clip from the cache; synthesize it if it is missing."""
        path = self._cache / f"{recipe.number}.npy"
        if not path.is_file():
            half = path.with_suffix(".half.npy")
            np.save(half, self.say(recipe.style, recipe.sentence))
            half.rename(path)
        pcm: Pcm = np.load(path)
        return pcm

    def speak_all(self, todo: Sequence[Recipe]) -> None:
        """Synthesize all recipes into the cache."""
        for done, recipe in enumerate(todo):
            self.clip(recipe)
            if done % 50 == 0:
                print(f"synthesized: {done} of {len(todo)}", flush=True)
