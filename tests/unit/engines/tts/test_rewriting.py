"""That the rewritten network is the same network."""

from collections.abc import Callable
from typing import Any

import numpy as np
import openvino  # type: ignore[import-untyped]
from numpy.typing import NDArray
from openvino import opset13 as ops

from kuaimei.engines.tts.kokoro.graph_passes import approximate_snakes

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
    assert approximate_snakes(model) == 1
    assert "Sin" not in types(model)
    assert np.abs(run(model, x) - before).max() < 1e-4


def test_a_sine_by_itself_and_another_power_are_left_alone() -> None:
    cubed = model_of([1, -1], lambda given: ops.power(ops.sin(given), ops.constant(np.float32(3.0))))
    alone = model_of([1, -1], ops.sin)
    for model in (cubed, alone):
        assert approximate_snakes(model) == 0
        assert "Sin" in types(model)
