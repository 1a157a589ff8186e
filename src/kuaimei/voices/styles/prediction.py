"""A voice at once: the Kokoro style of somebody who has just been heard, without learning anything.

A ridge regression, fitted offline on Kokoro's own speech (``scripts/fit_styles.py``), leads from how
somebody sounds and their pitch to a style: 256 numbers, the first half sound, the second prosody. There are
two: from GE2E alone, and from GE2E and CAM++, which is better. Their result, some 100 KB, is part of the
package, with how good they were on voices that were not in the fit. They know only what Kokoro's voices span;
where a stock voice is closer, that one is taken (`choose_style`).
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
"""Says one short sentence in a style, shape ``(256,)``; samples and rate."""


class HasPitch(Protocol):
    """What is asked of somebody's pitch: `kuaimei.audio.pitch.PitchSummary`, or the public `Pitch`."""

    @property
    def mean_hz(self) -> float:
        """Geometric mean."""
        ...

    @property
    def log_sd(self) -> float:
        """Standard deviation of ln F0."""
        ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """A style to begin with.

    Attributes:
        style: Shape ``(256,)`` float32, for texts of any length.
        nearest: The stock voice that sounds most alike.
        similarity: Cosine by GE2E with the reference: of speech in this style where it was listened to
            (`choose_style`), of the nearest stock voice otherwise.
        origin: Where the style comes from; ``between`` is half-way from the nearest voice to the prediction.
    """

    style: Floats
    nearest: str
    similarity: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class StyleModel:
    """What was fitted.

    Attributes:
        names: Of the stock voices.
        embeddings: Theirs by GE2E, shape ``(voices, 256)``, length 1.
        pitch: Theirs: ln of the mean in Hz, and standard deviation of ln F0; shape ``(voices, 2)``.
        weights: From `inputs` with CAM++ to the style's coordinates, shape ``(450, axes)``.
        centre: Of these inputs, shape ``(450,)``.
        weights_by_ge2e: From `inputs` without CAM++, shape ``(258, axes)``.
        centre_by_ge2e: Of these inputs, shape ``(258,)``.
        axes: Principal axes of the styles, shape ``(axes, 256)``.
        mean: Of the styles, shape ``(256,)``.
        limits: Standard deviation of each coordinate among the stock voices, shape ``(axes,)``.
        facts: When and how it was fitted, and how good it was.
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
    """What comes with this package."""
    with as_file(files("kuaimei.voices").joinpath("data", "styles.npz")) as path, np.load(path) as data:
        arrays = {name: data[name].astype(np.float32) for name in data.files if data[name].dtype.kind == "f"}
        lengths = np.linalg.norm(arrays["embeddings"], axis=1, keepdims=True)
        arrays["embeddings"] /= lengths  # half precision has rounded them
        return StyleModel(
            names=tuple(str(name) for name in data["names"]), facts=json.loads(str(data["facts"])), **arrays
        )


def inputs(embedding: Floats, log_mean: float, log_sd: float, campplus: Floats | None = None) -> Floats:
    """What a regression takes: the embeddings, and the pitch on a scale like theirs.

    Args:
        embedding: By GE2E, shape ``(256,)``.
        log_mean: ln of the mean pitch in Hz.
        log_sd: Standard deviation of ln F0.
        campplus: By CAM++, shape ``(192,)``.

    Returns:
        Shape ``(258,)``; with ``campplus`` ``(450,)``.
    """
    pitch = np.array([log_mean - 5.1, 2.0 * (log_sd - 0.2)], np.float32)
    parts = (embedding, pitch) if campplus is None else (embedding, pitch, campplus)
    return np.concatenate(parts).astype(np.float32)


def stock_embeddings(stock: Collection[str], beginnings: str | tuple[str, ...]) -> dict[str, Floats]:
    """GE2E embeddings, as shipped, of those in ``stock`` whose names begin so: with that, their language."""
    styles = load_styles()
    known = zip(styles.names, styles.embeddings, strict=True)
    return {name: one for name, one in known if name in stock and name.startswith(beginnings)}


def nearest_stock(embedding: Floats, stock: Mapping[str, Floats] | None = None) -> tuple[str, float]:
    """The stock voice that sounds most like ``embedding`` (GE2E, shape ``(256,)``), and the cosine.

    Args:
        embedding: Of the reference.
        stock: Embedding of each voice to choose from; None: of all stock voices, as shipped.

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
    """The style of somebody who sounds like ``embedding``; takes a millisecond.

    Args:
        embedding: Of the reference by GE2E, shape ``(256,)``.
        pitch: Of the reference; None: that of the nearest stock voice.
        stock: Tables of the stock voices at hand, shape ``(510, 256)``.
        campplus: Embedding of the reference by CAM++, shape ``(192,)``, where that encoder is installed.

    Raises:
        EngineError: If no voice at hand is a stock voice.
    """
    return _candidates(embedding, pitch, stock, campplus)[0]


async def choose_style(
    embedding: Floats,
    reference: Sequence[tuple[SpeakerEncoder, Floats]],
    pitch: HasPitch | None,
    stock: Mapping[str, Floats],
    speak: Synthesize,
) -> Prediction:
    """As `predict_style`, but the candidates are listened to and the closest one is taken.

    Three short sentences are spoken: in the predicted style, in the nearest stock voice, and half-way.

    Args:
        embedding: Of the reference by GE2E.
        reference: Encoders to choose by and what they hear in the reference, GE2E first; with CAM++ the
            prediction is better and the choice sounder. Never the judge.
        pitch: Of the reference.
        stock: Tables of the stock voices at hand.
        speak: Says a short sentence in a style.

    Raises:
        EngineError: If no voice at hand is a stock voice, or synthesis failed.
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
    """Predicted, half-way and nearest."""
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
    # A voice unlike any in the fit must not lead out of what the network knows how to say.
    coordinates = np.clip(coordinates, -2.5 * styles.limits, 2.5 * styles.limits)
    predicted = (styles.mean + coordinates @ styles.axes).astype(np.float32)
    own = style_of(stock[nearest])
    return (
        Prediction(predicted, nearest, similarity, "predicted"),
        Prediction((0.5 * (predicted + own)).astype(np.float32), nearest, similarity, "between"),
        Prediction(own, nearest, similarity, "nearest"),
    )
