"""Fit what predicts a Kokoro style from how somebody sounds, on Kokoro's own speech.

python -m scripts.fit_styles --cache FOLDER            # writes src/kuaimei/voices/data/styles.npz
python -m scripts.fit_styles --cache FOLDER --samples 120 --out FILE

Kokoro speaks two sentences in each of its stock styles, and in mixtures and perturbations of them; every
clip is embedded by GE2E (plain, and through two different bad microphones) and its pitch measured. A
ridge regression then leads from there to the style, in the coordinates of the styles' principal axes. How
good it is, is told by predicting the stock voices of which nothing was in the fit.

Clips are kept in the cache, one file each: an interrupted run goes on where it was.
Some 8 minutes of one core.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from kuaimei.engines.speaker import SpeakerEncoder, open_encoder
from kuaimei.engines.tts.kokoro.runtime import RATE
from kuaimei.engines.tts.kokoro.weights import load_voices
from kuaimei.settings import Settings
from kuaimei.voices.prediction import nearest_stock, style_of
from scripts.style_corpus import SEED, SENTENCES, Floats, Heard, Speaker, listen, recipes

OUT = Path(__file__).resolve().parent.parent / "src" / "kuaimei" / "voices" / "data" / "styles.npz"
SAMPLES = 440
FOLDS = 9
AXES = (12, 16, 24, 32, 40, 48)
"""Principal axes of the styles that may be kept."""
RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def judge(
    speaker: Speaker,
    heard: Sequence[Heard],
    stock: Mapping[str, Floats],
    axes: int,
    ridge: float,
    judging: SpeakerEncoder,
) -> dict[str, float]:
    """Mean similarity to unseen stock voices, by an encoder that had no part in it.

    Two voices of each fold; what is said is not what the reference says.
    """
    found: dict[str, list[float]] = {"predicted": [], "between": [], "nearest": [], "itself": []}
    tests = {name: [h for h in heard if h.recipe.voices == (name,)] for name in stock}
    for out in folds(stock):
        seen, known = without(heard, stock, out)
        model = fit(seen, known, axes, ridge)
        voices = {name: _mean_embedding(tests[name]) for name in known}
        for name in sorted(out)[:2]:
            reference = tests[name][0]
            wanted = judging.embed(speaker.clip(reference.recipe), RATE)
            predicted = model(reference.inputs()[:1])[0]
            nearest = stock[nearest_stock(reference.embeddings[0], voices)[0]]
            styles = (predicted, 0.5 * (predicted + nearest), nearest, stock[name])
            for kind, style in zip(found, styles, strict=True):
                found[kind].append(float(wanted @ judging.embed(speaker.say(style, SENTENCES[1]), RATE)))
    return {kind: round(float(np.mean(values)), 3) for kind, values in found.items()}


@dataclass(frozen=True, slots=True)
class Fit:
    """A regression: inputs minus ``centre``, times ``weights``, are coordinates on ``axes`` from ``mean``."""

    weights: Floats
    axes: Floats
    mean: Floats
    centre: Floats
    limits: Floats

    def __call__(self, x: Floats) -> Floats:
        coordinates = np.clip((x - self.centre) @ self.weights, -2.5 * self.limits, 2.5 * self.limits)
        return (self.mean + coordinates @ self.axes).astype(np.float32)


def fit(heard: Sequence[Heard], stock: Mapping[str, Floats], axes: int, ridge: float) -> Fit:
    """Ridge regression; ``ridge`` is in units of the inputs' mean variance."""
    table = np.stack(list(stock.values()))
    mean = table.mean(axis=0)
    _, spread, rows = np.linalg.svd(table - mean, full_matrices=False)
    x = np.concatenate([one.inputs() for one in heard])
    y = np.repeat(np.stack([(one.recipe.style - mean) @ rows[:axes].T for one in heard]), 3, axis=0)
    centre, level = x.mean(axis=0), y.mean(axis=0)
    square = (x - centre).T @ (x - centre)
    penalty = ridge * np.trace(square) / len(square) * np.eye(len(square))
    weights = np.linalg.solve(square + penalty, (x - centre).T @ (y - level)).astype(np.float32)
    limits = (spread[:axes] / np.sqrt(len(table))).astype(np.float32)
    return Fit(weights, rows[:axes], mean + level @ rows[:axes], centre, limits)


def folds(stock: Mapping[str, Floats]) -> list[set[str]]:
    """The stock voices in groups; of a group nothing is in the fit that predicts it."""
    names = np.random.default_rng(SEED).permutation(sorted(stock))
    return [set(names[start::FOLDS].tolist()) for start in range(FOLDS)]


def without(
    heard: Sequence[Heard], stock: Mapping[str, Floats], out: set[str]
) -> tuple[list[Heard], dict[str, Floats]]:
    """What is left where the voices ``out`` are unknown."""
    return [h for h in heard if not out & set(h.recipe.voices)], {
        n: s for n, s in stock.items() if n not in out
    }


def cross_validate(
    heard: Sequence[Heard], stock: Mapping[str, Floats]
) -> tuple[int, float, dict[str, float]]:
    """The best number of axes and ridge, and the errors, in shares of the variance of unseen stock voices."""
    parts = [(out, *without(heard, stock, out)) for out in folds(stock)]
    tests = {name: [h for h in heard if h.recipe.voices == (name,)] for name in stock}
    mean = np.mean(list(stock.values()), axis=0)
    total = sum(float(np.sum((stock[name] - mean) ** 2)) for name in stock)

    def error(axes: int, ridge: float) -> float:
        wrong = 0.0
        for out, seen, known in parts:
            model = fit(seen, known, axes, ridge)
            for name in out:
                guesses = model(np.concatenate([one.inputs() for one in tests[name]]))
                wrong += float(np.mean(np.sum((guesses - stock[name]) ** 2, axis=1)))
        return wrong / total

    errors = {(axes, ridge): error(axes, ridge) for axes in AXES for ridge in RIDGES}
    axes, ridge = min(errors, key=errors.__getitem__)
    wrong = 0.0
    for out, _, known in parts:
        voices = {name: _mean_embedding(tests[name]) for name in known}
        for name in out:
            nearest, _ = nearest_stock(_mean_embedding(tests[name]), voices)
            wrong += float(np.sum((stock[nearest] - stock[name]) ** 2))
    return axes, ridge, {"predicted": errors[axes, ridge], "nearest": wrong / total}


def _mean_embedding(heard: Sequence[Heard]) -> Floats:
    mean: Floats = np.stack([one.embeddings[0] for one in heard]).mean(axis=0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    folder = Settings().weights_dir
    voices = load_voices(folder / "kokoro")
    stock = {name: style_of(voices.tables[name]) for name in sorted(voices.tables)}
    todo = list(recipes(stock, max(args.samples, 2 * len(stock))))
    speaker = Speaker(args.cache, folder / "kokoro")
    speaker.speak_all(todo)
    encoder = open_encoder(folder / "ge2e")
    heard: list[Heard] = []
    for recipe in todo:
        pcm = speaker.clip(recipe)
        one = listen(args.cache, recipe, pcm, encoder) if len(pcm) else None
        heard += [one] if one else []
    axes, ridge, errors = cross_validate(heard, stock)
    print(f"{len(heard)} clips, {axes} axes, ridge {ridge}, errors {errors}", flush=True)
    judged = judge(speaker, heard, stock, axes, ridge, open_encoder(folder / "eres2net"))
    facts = {
        "fitted": datetime.now(UTC).date().isoformat(),
        "clips": len(heard),
        "axes": axes,
        "ridge": ridge,
        "style_error_of_unseen_voices": errors,
        "eres2net_of_unseen_voices": judged,
    }
    print(json.dumps(facts, indent=1))
    whole = fit(heard, stock, axes, ridge)
    own = {name: [h for h in heard if h.recipe.voices == (name,)] for name in stock}
    half = {name: getattr(whole, name).astype(np.float16) for name in Fit.__slots__}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        args.out,
        names=np.array(list(stock)),
        embeddings=np.stack([_mean_embedding(own[name]) for name in stock]).astype(np.float16),
        pitch=np.array([np.mean([h.pitch for h in own[name]], axis=0) for name in stock], np.float16),
        facts=np.array(json.dumps(facts)),
        **half,
    )
    print(f"{args.out.name}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
