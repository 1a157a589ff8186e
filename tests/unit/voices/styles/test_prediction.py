from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.tts.kokoro.assets import style_of
from kuaimei.errors import EngineError
from kuaimei.voices.styles.prediction import (
    choose_style,
    inputs,
    load_styles,
    nearest_stock,
    predict_style,
)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pitch:
    mean_hz: float
    log_sd: float


@pytest.fixture
def stock() -> dict[str, Floats]:
    """A style for each stock voice that lies where the fit knows its voices to lie."""
    styles = load_styles()
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(len(styles.names), len(styles.limits))) * styles.limits
    return {
        name: (styles.mean + one @ styles.axes).astype(np.float32)
        for name, one in zip(styles.names, drawn, strict=True)
    }


def own(name: str) -> tuple[Floats, Pitch]:
    styles = load_styles()
    at = styles.names.index(name)
    return styles.embeddings[at], Pitch(float(np.exp(styles.pitch[at, 0])), float(styles.pitch[at, 1]))


def test_what_is_shipped_is_whole_and_says_how_good_it_is() -> None:
    styles = load_styles()
    assert len(styles.names) == len(set(styles.names)) == 54
    np.testing.assert_allclose(np.linalg.norm(styles.embeddings, axis=1), 1.0, atol=1e-6)
    assert styles.weights_by_ge2e.shape == (258, len(styles.limits))
    assert styles.weights.shape == (450, len(styles.limits))
    np.testing.assert_allclose(styles.axes @ styles.axes.T, np.eye(len(styles.axes)), atol=5e-3)
    errors = styles.facts["style_error_of_unseen_voices"]
    assert errors["predicted"] < errors["predicted_by_ge2e"] < min(1.0, errors["nearest"])
    judged = styles.facts["eres2net_of_unseen_voices"]
    assert judged["itself"] > judged["predicted"] > judged["predicted_by_ge2e"] > judged["nearest"]


@pytest.mark.parametrize("name", ["zf_xiaoyi", "zm_yunyang", "af_heart", "jm_kumo"])
def test_a_stock_voice_is_nearest_to_itself(name: str, stock: Mapping[str, Floats]) -> None:
    embedding, pitch = own(name)

    nearest, cosine = nearest_stock(embedding)
    prediction = predict_style(embedding, pitch, stock)

    assert nearest == prediction.nearest == name
    assert cosine == pytest.approx(1.0, abs=1e-5)
    assert prediction.similarity == pytest.approx(1.0, abs=1e-5)
    assert prediction.style.shape == (256,)
    assert prediction.style.dtype == np.float32


def test_different_people_get_different_styles_and_a_high_voice_is_no_low_one(
    stock: Mapping[str, Floats],
) -> None:
    embedding, pitch = own("zf_xiaoyi")
    other, low = own("zm_yunjian")
    she, he = predict_style(embedding, pitch, stock).style, predict_style(other, low, stock).style
    assert np.linalg.norm(she - he) > 0.5
    lowered = predict_style(embedding, Pitch(pitch.mean_hz / 2, pitch.log_sd), stock).style
    assert np.linalg.norm(lowered - he) < np.linalg.norm(she - he)


def test_without_a_pitch_the_nearest_voices_is_taken(stock: Mapping[str, Floats]) -> None:
    embedding, pitch = own("bf_emma")
    with_it, without = predict_style(embedding, pitch, stock), predict_style(embedding, None, stock)
    np.testing.assert_allclose(with_it.style, without.style, atol=1e-5)


def test_a_stranger_does_not_lead_out_of_what_the_network_can_say(stock: Mapping[str, Floats]) -> None:
    styles = load_styles()
    rng = np.random.default_rng(2)
    embedding = np.abs(rng.standard_normal(256)).astype(np.float32)
    embedding /= np.linalg.norm(embedding)
    prediction = predict_style(embedding, Pitch(900.0, 2.0), stock)
    coordinates = (prediction.style - styles.mean) @ styles.axes.T
    assert (np.abs(coordinates) <= 2.55 * styles.limits + 0.02).all()


def test_campplus_has_a_say_where_it_is_installed(stock: Mapping[str, Floats]) -> None:
    embedding, pitch = own("zf_xiaoyi")
    rng = np.random.default_rng(3)
    one, other = rng.standard_normal((2, 192)).astype(np.float32) / np.sqrt(np.float32(192))
    alone = predict_style(embedding, pitch, stock)
    both = [predict_style(embedding, pitch, stock, campplus) for campplus in (one, other)]
    assert np.linalg.norm(both[0].style - both[1].style) > 0.1
    assert np.linalg.norm(both[0].style - alone.style) > 0.1
    assert {prediction.nearest for prediction in both} == {alone.nearest}


def test_only_voices_at_hand_count(stock: dict[str, Floats]) -> None:
    embedding, pitch = own("zf_xiaoyi")
    del stock["zf_xiaoyi"]
    stock["voice_of_somebody"] = stock["zf_xiaobei"]
    prediction = predict_style(embedding, pitch, stock)
    assert prediction.nearest in stock
    assert prediction.nearest != "voice_of_somebody"

    with pytest.raises(EngineError, match="no stock voice"):
        predict_style(embedding, pitch, {"voice_of_somebody": stock["zf_xiaobei"]})


def test_a_table_becomes_one_style_and_a_style_stays() -> None:
    table = np.arange(510 * 256, dtype=np.float32).reshape(510, 256)
    np.testing.assert_array_equal(style_of(table), table[20:60].mean(axis=0))
    np.testing.assert_array_equal(style_of(table[:10]), table[:10].mean(axis=0))
    np.testing.assert_array_equal(style_of(table[7]), table[7])


def test_the_pitch_weighs_as_much_as_the_embedding() -> None:
    embedding = np.zeros(256, np.float32)
    low, high = inputs(embedding, np.log(100.0), 0.1), inputs(embedding, np.log(200.0), 0.3)
    assert 0.4 < np.linalg.norm(high - low) < 1.5
    assert inputs(embedding, 5.0, 0.1, np.ones(192, np.float32)).shape == (450,)


class _Likes:
    """Hears nothing but the style that was 'spoken': it travels in the samples."""

    def __init__(self, name: str, heard: Mapping[int, float]) -> None:
        self.name = name
        self._heard = heard

    def embed(self, pcm: Pcm, rate: int) -> Floats:
        return np.array([self._heard[int(pcm[0])], 0.0], np.float32)


@pytest.mark.parametrize(
    ("first", "second", "origin"),
    [
        ({0: 0.9, 1: 0.8, 2: 0.7}, {0: 0.5, 1: 0.5, 2: 0.5}, "predicted"),
        ({0: 0.9, 1: 0.8, 2: 0.7}, {0: 0.1, 1: 0.2, 2: 0.5}, "nearest"),
        ({0: 0.9, 1: 0.9, 2: 0.7}, {0: 0.1, 1: 0.4, 2: 0.5}, "between"),
    ],
)
async def test_the_closest_of_what_was_spoken_is_taken(
    stock: Mapping[str, Floats], first: Mapping[int, float], second: Mapping[int, float], origin: str
) -> None:
    spoken: list[Floats] = []

    async def speak(style: Floats) -> tuple[Pcm, int]:
        spoken.append(style)
        return np.full(10, len(spoken) - 1, np.int16), 24_000

    embedding, pitch = own("zf_xiaoyi")
    wanted = np.array([1.0, 0.0], np.float32)

    choice = await choose_style(
        embedding,
        [(_Likes("ge2e", first), wanted), (_Likes("another", second), wanted)],
        pitch,
        stock,
        speak,
    )

    assert choice.origin == origin
    assert len(spoken) == 3
    at = ("predicted", "between", "nearest").index(origin)
    np.testing.assert_array_equal(choice.style, spoken[at])
    assert choice.similarity == pytest.approx(first[at])
    np.testing.assert_allclose(spoken[1], (spoken[0] + spoken[2]) / 2, atol=1e-6)
    np.testing.assert_array_equal(spoken[2], stock["zf_xiaoyi"])
