"""Fit the prediction of a Kokoro style from speaker embedding and pitch, on Kokoro's own speech.

python -m scripts.fit_styles --cache FOLDER            # writes src/kuaimei/voices/data/styles.npz
python -m scripts.fit_styles --cache FOLDER --samples 120 --out FILE

Kokoro speaks two sentences in each of its stock styles, and in mixtures and perturbations of them; every
clip is embedded by GE2E and CAM++ (plain, and through two different bad microphones) and its pitch measured.
Ridge regressions then map these to the style, in the coordinates of the styles' principal axes: one from GE2E
alone, one from both. Their quality is measured by predicting stock voices that were excluded from the fit,
and by ERes2Net, which had no part in it.

Clips are kept in the cache, one file each: an interrupted run resumes.
Takes some 12 minutes on one core.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kuaimei.engines.speaker import SpeakerEncoder, open_encoder
from kuaimei.engines.tts.kokoro.assets import load_voices, style_of
from kuaimei.engines.tts.kokoro.runtime import RATE
from kuaimei.settings import Settings
from kuaimei.voices.styles.prediction import nearest_stock
from scripts.style_corpus import SEED, SENTENCES, Floats, Heard, Speaker, listen, recipes

OUT = Path(__file__).resolve().parent.parent / "src" / "kuaimei" / "voices" / "data" / "styles.npz"
SAMPLES = 440
FOLDS = 9
AXES = 48
"""Number of principal axes kept: fewer were worse."""
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)


def judge(
    speaker: Speaker,
    heard: Sequence[Heard],
    stock: Mapping[str, Floats],
    ridges: Mapping[bool, float],
    judging: SpeakerEncoder,
) -> dict[str, float]:
    """Return the mean similarity to unseen stock voices, by an encoder that had no part in the fit.

    Uses two voices of each fold, with another sentence than in the reference.

    Args:
        speaker: Synthesizes the clips.
        heard: Measured clips.
        stock: Styles of the stock voices by name.
        ridges: Ridge with CAM++ (True) and without.
        judging: The evaluation encoder.
    """
    found: dict[str, list[float]] = {
        one: [] for one in ("predicted", "predicted_by_ge2e", "between", "nearest", "itself")
    }
    tests = _own(heard, stock)
    for out in folds(stock):
        seen, known = without(heard, stock, out)
        models = {both: fit(seen, known, ridges[both], both) for both in (True, False)}
        voices = {name: _mean_embedding(tests[name]) for name in known}
        for name in sorted(out)[:2]:
            reference = tests[name][0]
            wanted = judging.embed(speaker.clip(reference.recipe), RATE)
            predicted, by_ge2e = (models[both](reference.inputs(both)[:1])[0] for both in (True, False))
            nearest = stock[nearest_stock(reference.embeddings[0], voices)[0]]
            styles = (predicted, by_ge2e, 0.5 * (predicted + nearest), nearest, stock[name])
            for kind, style in zip(found, styles, strict=True):
                found[kind].append(float(wanted @ judging.embed(speaker.say(style, SENTENCES[1]), RATE)))
    return {kind: round(float(np.mean(values)), 3) for kind, values in found.items()}


@dataclass(frozen=True, slots=True)
class Fit:
    """Regression: inputs minus ``centre``, times ``weights``, are coordinates on ``axes`` from ``mean``."""

    weights: Floats
    axes: Floats
    mean: Floats
    centre: Floats
    limits: Floats

    def __call__(self, x: Floats) -> Floats:
        coordinates = np.clip((x - self.centre) @ self.weights, -2.5 * self.limits, 2.5 * self.limits)
        return (self.mean + coordinates @ self.axes).astype(np.float32)


def fit(heard: Sequence[Heard], stock: Mapping[str, Floats], ridge: float, both: bool) -> Fit:
    """Fit a ridge regression, from GE2E or from both; ``ridge`` is in units of the inputs' mean variance.

    Args:
        heard: Measured clips.
        stock: Styles of the stock voices by name.
        ridge: Strength of the penalty.
        both: With CAM++ (True) or from GE2E alone.
    """
    table = np.stack(list(stock.values()))
    mean = table.mean(axis=0)
    _, spread, rows = np.linalg.svd(table - mean, full_matrices=False)
    x = np.concatenate([one.inputs(both) for one in heard])
    y = np.repeat(np.stack([(one.recipe.style - mean) @ rows[:AXES].T for one in heard]), 3, axis=0)
    centre, level = x.mean(axis=0), y.mean(axis=0)
    square = (x - centre).T @ (x - centre)
    penalty = ridge * np.trace(square) / len(square) * np.eye(len(square))
    weights = np.linalg.solve(square + penalty, (x - centre).T @ (y - level)).astype(np.float32)
    limits = (spread[:AXES] / np.sqrt(len(table))).astype(np.float32)
    return Fit(weights, rows[:AXES], mean + level @ rows[:AXES], centre, limits)


def folds(stock: Mapping[str, Floats]) -> list[set[str]]:
    """Split the stock voices into groups; each group is excluded from the fit that predicts it."""
    names = np.random.default_rng(SEED).permutation(sorted(stock))
    return [set(names[start::FOLDS].tolist()) for start in range(FOLDS)]


def without(
    heard: Sequence[Heard], stock: Mapping[str, Floats], out: set[str]
) -> tuple[list[Heard], dict[str, Floats]]:
    """Return clips and stock voices without anything of the voices ``out``.

    Args:
        heard: Measured clips.
        stock: Styles of the stock voices by name.
        out: Names of the voices to exclude.
    """
    return [h for h in heard if not out & set(h.recipe.voices)], {
        n: s for n, s in stock.items() if n not in out
    }


def cross_validate(
    heard: Sequence[Heard], stock: Mapping[str, Floats]
) -> tuple[dict[bool, float], dict[str, float]]:
    """Find the best ridge with CAM++ and without.

    Returns:
        The ridges, and the errors as shares of the variance of the unseen stock voices.
    """
    parts = [(out, *without(heard, stock, out)) for out in folds(stock)]
    tests = _own(heard, stock)
    mean = np.mean(list(stock.values()), axis=0)
    total = sum(float(np.sum((stock[name] - mean) ** 2)) for name in stock)

    def error(ridge: float, both: bool) -> float:
        wrong = 0.0
        for out, seen, known in parts:
            model = fit(seen, known, ridge, both)
            for name in out:
                guesses = model(np.concatenate([one.inputs(both) for one in tests[name]]))
                wrong += float(np.mean(np.sum((guesses - stock[name]) ** 2, axis=1)))
        return wrong / total

    ridges, errors = {}, {}
    for both, label in ((True, "predicted"), (False, "predicted_by_ge2e")):
        found = {ridge: error(ridge, both) for ridge in RIDGES}
        ridges[both] = min(found, key=found.__getitem__)
        errors[label] = round(found[ridges[both]], 3)
    wrong = 0.0
    for out, _, known in parts:
        voices = {name: _mean_embedding(tests[name]) for name in known}
        for name in out:
            nearest, _ = nearest_stock(_mean_embedding(tests[name]), voices)
            wrong += float(np.sum((stock[nearest] - stock[name]) ** 2))
    return ridges, errors | {"nearest": round(wrong / total, 3)}


def _own(heard: Sequence[Heard], stock: Mapping[str, Floats]) -> dict[str, list[Heard]]:
    """Return the clips of each unmodified stock voice."""
    return {name: [one for one in heard if one.recipe.voices == (name,)] for name in stock}


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
    stock = {name: style_of(voices.stock[name]) for name in sorted(voices.stock)}
    todo = list(recipes(stock, max(args.samples, 2 * len(stock))))
    speaker = Speaker(args.cache, folder / "kokoro")
    speaker.speak_all(todo)
    encoders = open_encoder(folder / "ge2e"), open_encoder(folder / "campplus")
    heard: list[Heard] = []
    for recipe in todo:
        pcm = speaker.clip(recipe)
        one = listen(args.cache, recipe, pcm, *encoders) if len(pcm) else None
        heard += [one] if one else []
    ridges, errors = cross_validate(heard, stock)
    print(f"{len(heard)} clips, ridges {ridges}, errors {errors}", flush=True)
    facts = {
        "fitted": datetime.now(UTC).date().isoformat(),
        "clips": len(heard),
        "ridge": ridges[True],
        "ridge_by_ge2e": ridges[False],
        "style_error_of_unseen_voices": errors,
        "eres2net_of_unseen_voices": judge(speaker, heard, stock, ridges, open_encoder(folder / "eres2net")),
    }
    print(json.dumps(facts, indent=1))
    whole, alone = (fit(heard, stock, ridges[both], both) for both in (True, False))
    own = _own(heard, stock)
    arrays = {
        "embeddings": np.stack([_mean_embedding(own[name]) for name in stock]),
        "pitch": np.array([np.mean([one.pitch for one in own[name]], axis=0) for name in stock]),
        "axes": whole.axes,
        "mean": whole.mean,
        "limits": whole.limits,
        "weights": whole.weights,
        "centre": whole.centre,
        "weights_by_ge2e": alone.weights,
        "centre_by_ge2e": alone.centre,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    half: dict[str, Any] = {name: value.astype(np.float16) for name, value in arrays.items()}
    np.savez_compressed(args.out, names=np.array(list(stock)), facts=np.array(json.dumps(facts)), **half)
    print(f"{args.out.name}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
