"""Predicts the Kokoro style of a speaker from a recording, without training.

A ridge regression, fitted offline on Kokoro's own speech (``scripts/fit_styles.py``), maps speaker embedding
and pitch to a style: 256 numbers, the first half timbre, the second prosody. There are two: from GE2E alone,
and from GE2E and CAM++, which is better. The fitted parameters, some 100 KB, are part of the package, with
their quality on voices that were not in the fit. They cover only what Kokoro's voices span; where a stock
voice is closer, that one is used (`choose_style`).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import as_file, files
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.speaker import SpeakerEncoder
from kuaimei.engines.tts.kokoro.assets import style_of
from kuaimei.errors import EngineError

__all__ = [
    "HasPitch",
    "Origin",
    "Prediction",
    "StyleModel",
    "Synthesize",
    "choose_style",
    "inputs",
    "load_styles",
    "nearest_stock",
    "predict_style",
]

Floats: TypeAlias = NDArray[np.float32]
Origin: TypeAlias = Literal["predicted", "between", "nearest"]
Synthesize: TypeAlias = Callable[[Floats], Awaitable[tuple[Pcm, int]]]
"""Synthesizes one short sentence in a style, shape ``(256,)``; returns samples and rate."""


class HasPitch(Protocol):
    """Pitch statistics: `kuaimei.audio.pitch.PitchSummary`, or the public `Pitch`."""

    @property
    def mean_hz(self) -> float:
        """Geometric mean of F0 in Hz."""
        ...

    @property
    def log_sd(self) -> float:
        """Standard deviation of ln F0."""
        ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted style.

    Attributes:
        style: Shape ``(256,)`` float32, for texts of any length.
        nearest: The most similar stock voice.
        similarity: GE2E cosine with the reference: of speech synthesized in this style (`choose_style`), or
            of the nearest stock voice (`predict_style`).
        origin: Source of the style; ``between`` is half-way from the nearest voice to the prediction.
    """

    style: Floats
    nearest: str
    similarity: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class StyleModel:
    """Fitted regressions from speaker embedding and pitch to style.

    Attributes:
        names: Names of the stock voices.
        embeddings: Their GE2E embeddings, shape ``(voices, 256)``, length 1.
        pitch: Their ln of mean F0 in Hz, and standard deviation of ln F0; shape ``(voices, 2)``.
        weights: From `inputs` with CAM++ to the style's coordinates, shape ``(450, axes)``.
        centre: Mean of these inputs, shape ``(450,)``.
        weights_by_ge2e: From `inputs` without CAM++, shape ``(258, axes)``.
        centre_by_ge2e: Mean of these inputs, shape ``(258,)``.
        axes: Principal axes of the styles, shape ``(axes, 256)``.
        mean: Mean of the styles, shape ``(256,)``.
        limits: Standard deviation of each coordinate among the stock voices, shape ``(axes,)``.
        facts: Date, method and quality of the fit.
    """

    names: tuple[str, ...]
    embeddings: Floats
    pitch: Floats
    weights: Floats
    centre: Floats
    weights_by_ge2e: Floats
    centre_by_ge2e: Floats
    axes: Floats
    mean: Floats
    limits: Floats
    facts: Mapping[str, Any]


@cache
def load_styles() -> StyleModel:
    """Load the model shipped with this package."""
    with as_file(files("kuaimei.voices").joinpath("data", "styles.npz")) as path, np.load(path) as data:
        arrays = {name: data[name].astype(np.float32) for name in data.files if data[name].dtype.kind == "f"}
        lengths = np.linalg.norm(arrays["embeddings"], axis=1, keepdims=True)
        arrays["embeddings"] /= lengths  # half precision has rounded them
        return StyleModel(
            names=tuple(str(name) for name in data["names"]), facts=json.loads(str(data["facts"])), **arrays
        )


def inputs(embedding: Floats, log_mean: float, log_sd: float, campplus: Floats | None = None) -> Floats:
    """Return the regression input: the embeddings, and the pitch scaled to their range.

    Args:
        embedding: GE2E embedding, shape ``(256,)``.
        log_mean: ln of the mean pitch in Hz.
        log_sd: Standard deviation of ln F0.
        campplus: CAM++ embedding, shape ``(192,)``.

    Returns:
        Shape ``(258,)``; with ``campplus`` ``(450,)``.
    """
    pitch = np.array([log_mean - 5.1, 2.0 * (log_sd - 0.2)], np.float32)
    parts = (embedding, pitch) if campplus is None else (embedding, pitch, campplus)
    return np.concatenate(parts).astype(np.float32)


def stock_embeddings(stock: Collection[str], beginnings: str | tuple[str, ...]) -> dict[str, Floats]:
    """Return the shipped GE2E embeddings of the voices in ``stock`` with these name prefixes (languages)."""
    styles = load_styles()
    known = zip(styles.names, styles.embeddings, strict=True)
    return {name: one for name, one in known if name in stock and name.startswith(beginnings)}


def nearest_stock(embedding: Floats, stock: Mapping[str, Floats] | None = None) -> tuple[str, float]:
    """Return the stock voice most similar to ``embedding`` (GE2E, shape ``(256,)``), and the cosine.

    Args:
        embedding: Embedding of the reference.
        stock: Embedding of each voice to choose from; None: all stock voices, as shipped.

    Raises:
        EngineError: If there is none to choose from.
    """
    if stock is None:
        styles = load_styles()
        stock = dict(zip(styles.names, styles.embeddings, strict=True))
    if not stock:
        raise EngineError("there is no stock voice to compare with; run: kuaimei models pull kokoro")
    cosines = {name: float(one @ embedding) for name, one in stock.items()}
    name = max(cosines, key=cosines.__getitem__)
    return name, cosines[name]


def predict_style(
    embedding: Floats,
    pitch: HasPitch | None,
    stock: Mapping[str, Floats],
    campplus: Floats | None = None,
) -> Prediction:
    """Predict the style of the speaker of ``embedding``; takes a millisecond.

    Args:
        embedding: GE2E embedding of the reference, shape ``(256,)``.
        pitch: Pitch of the reference; None: that of the nearest stock voice.
        stock: Style tables of the available stock voices, shape ``(510, 256)``.
        campplus: CAM++ embedding of the reference, shape ``(192,)``, if that encoder is installed.

    Raises:
        EngineError: If none of the available voices is a stock voice.
    """
    return _candidates(embedding, pitch, stock, campplus)[0]


async def choose_style(
    embedding: Floats,
    reference: Sequence[tuple[SpeakerEncoder, Floats]],
    pitch: HasPitch | None,
    stock: Mapping[str, Floats],
    speak: Synthesize,
) -> Prediction:
    """Predict like `predict_style`, but synthesize all candidates and return the most similar one.

    A short sentence is spoken three times: in the predicted style, in the nearest stock voice, and half-way.

    Args:
        embedding: GE2E embedding of the reference.
        reference: Encoders to choose by, each with its embedding of the reference, GE2E first; with CAM++
            prediction and choice are better. Never the evaluation encoder.
        pitch: Pitch of the reference.
        stock: Style tables of the available stock voices.
        speak: Synthesizes a short sentence in a style.

    Raises:
        EngineError: If none of the available voices is a stock voice, or synthesis failed.
    """
    best: Prediction | None = None
    most = -np.inf
    campplus = next((heard for encoder, heard in reference if encoder.name == "campplus"), None)
    for candidate in _candidates(embedding, pitch, stock, campplus):
        pcm, rate = await speak(candidate.style)
        cosines = [
            float(await asyncio.to_thread(encoder.embed, pcm, rate) @ wanted) for encoder, wanted in reference
        ]
        if best is None or sum(cosines) > most:
            best, most = replace(candidate, similarity=cosines[0]), sum(cosines)
    assert best is not None  # noqa: S101 - there are always three
    return best


def _candidates(
    embedding: Floats, pitch: HasPitch | None, stock: Mapping[str, Floats], campplus: Floats | None
) -> tuple[Prediction, Prediction, Prediction]:
    """Return the candidates: predicted, half-way and nearest."""
    styles = load_styles()
    known = {name: one for name, one in zip(styles.names, styles.embeddings, strict=True) if name in stock}
    nearest, similarity = nearest_stock(embedding, known)
    if pitch is None:
        log_mean, log_sd = (float(one) for one in styles.pitch[styles.names.index(nearest)])
    else:
        log_mean, log_sd = float(np.log(pitch.mean_hz)), pitch.log_sd
    heard = inputs(embedding, log_mean, log_sd, campplus)
    if campplus is None:
        coordinates = (heard - styles.centre_by_ge2e) @ styles.weights_by_ge2e
    else:
        coordinates = (heard - styles.centre) @ styles.weights
    # Stay within the range of styles that the network can speak, even for a voice unlike any in the fit.
    coordinates = np.clip(coordinates, -2.5 * styles.limits, 2.5 * styles.limits)
    predicted = (styles.mean + coordinates @ styles.axes).astype(np.float32)
    own = style_of(stock[nearest])
    return (
        Prediction(predicted, nearest, similarity, "predicted"),
        Prediction((0.5 * (predicted + own)).astype(np.float32), nearest, similarity, "between"),
        Prediction(own, nearest, similarity, "nearest"),
    )
