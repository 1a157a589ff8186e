"""That the rewritten network is the same network."""

from collections.abc import Callable
from typing import Any

import numpy as np
import openvino  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from kuaimei.engines.tts.kokoro.rewriting import count_what_is_left_out, ease_snakes

Computed = NDArray[np.float32]


def run(model: Any, *given: Any) -> Computed:
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    result: Computed = compiled([np.asarray(one) for one in given])[0]
    return result


def types(model: Any) -> set[str]:
    return {one.get_type_name() for one in model.get_ordered_ops()}


def model_of(shape: list[int], build: Callable[[Any], Any]) -> Any:
    given = ops.parameter(shape, np.float32, name="given")
    return openvino.Model([ops.result(build(given))], [given], "small")


def snake(given: Any) -> Any:
    sine = ops.sin(ops.multiply(ops.constant(np.float32(2.5)), given))
    return ops.power(sine, ops.constant(np.float32(2.0)))


def test_a_snake_is_the_same_without_its_sine() -> None:
    model = model_of([1, -1], snake)
    x = np.linspace(-40.0, 40.0, 20_001, dtype=np.float32)[np.newaxis]
    before = run(model, x)
    assert ease_snakes(model) == 1
    assert "Sin" not in types(model)
    assert np.abs(run(model, x) - before).max() < 1e-4


def test_a_sine_by_itself_and_another_power_are_left_alone() -> None:
    cubed = model_of([1, -1], lambda given: ops.power(ops.sin(given), ops.constant(np.float32(3.0))))
    alone = model_of([1, -1], ops.sin)
    for model in (cubed, alone):
        assert ease_snakes(model) == 0
        assert "Sin" in types(model)


def norm(given: Any) -> Any:
    over_time = ops.constant(np.array([2]))
    centred = ops.subtract(given, ops.reduce_mean(given, over_time, keep_dims=True))
    variance = ops.reduce_mean(ops.multiply(centred, centred), over_time, keep_dims=True)
    return ops.divide(centred, ops.sqrt(ops.add(variance, ops.constant(np.float32(1e-5)))))


@pytest.mark.parametrize(("before", "after"), [(0, 0), (12, 0), (0, 30), (7, 25)])
def test_a_norm_counts_the_silence_that_is_left_out(before: int, after: int) -> None:
    sound = np.random.default_rng(5).standard_normal((1, 3, 40)).astype(np.float32) + 2.0
    ends = np.array([[[-1.0], [0.5], [4.0]]], np.float32), np.array([[[-2.0], [0.0], [3.0]]], np.float32)
    there = np.concatenate([np.tile(ends[0], 4), sound, np.tile(ends[1], 4)], axis=2)
    whole = np.concatenate([np.tile(ends[0], before), there, np.tile(ends[1], after)], axis=2)
    expected = run(model_of([1, 3, -1], norm), whole)[:, :, before : before + 48]

    model = model_of([1, 3, -1], norm)
    assert count_what_is_left_out(model) == 1
    left_out = np.array([before, after], np.float32) / (before + 48 + after)
    standing_in = np.array([2.5 / 48, 45.5 / 48], np.float32)
    assert np.abs(run(model, there, left_out, standing_in) - expected).max() < 1e-4
