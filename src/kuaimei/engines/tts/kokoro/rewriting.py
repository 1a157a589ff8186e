"""Kokoro's network rewritten for OpenVINO: the same, sooner."""

from typing import Any, Final

import numpy as np

from kuaimei.engines.importing import importing

__all__ = [
    "SINE_SQUARED",
    "count_what_is_left_out",
    "ease_snakes",
]

SINE_SQUARED: Final = (9.869257, -32.425144, 41.825653, -24.15333)
"""``a`` of ``sin²(πr) ≈ a₀t + a₁t² + a₂t³ + a₃t⁴`` with ``t = r²``, for ``-½ ≤ r ≤ ½``; off by 8e-5 at most.

Interpolated at the Chebyshev nodes of ``sin²(π√t) / t``.
"""


def ease_snakes(model: Any) -> int:
    """Write every ``sin(αx)²`` of an OpenVINO model as a polynomial; how many there were.

    The vocoder's activation is the snake ``x + sin²(αx) / α`` (Ziyin et al., 2020, "Neural networks fail to
    learn periodic functions and how to fix it"). OpenVINO computes a sine number by number, in float32 and in
    another memory layout than the convolutions around it: a third of the vocoder's time goes into the 48 of
    them and the copies to and fro. Multiplications and additions it does sixteen at a time, in place.
    In bfloat16 the polynomial's error is a twentieth of the rounding; in float32 what is spoken changes by
    -84 dB.
    """
    ops = _operations()

    def number(value: float) -> Any:
        return ops.constant(np.float32(value))

    count = 0
    for square in _of_type(model, "Power"):
        sine = square.input_value(0).get_node()
        if sine.get_type_name() != "Sin" or not _is_two(square.input_value(1)):
            continue
        turns = ops.multiply(sine.input_value(0), number(1.0 / np.pi))
        rest = ops.subtract(turns, ops.round(turns, "half_to_even"))
        t = ops.multiply(rest, rest)
        *others, last = SINE_SQUARED
        polynomial = ops.multiply(t, number(last))
        for factor in reversed(others):
            polynomial = ops.multiply(ops.add(polynomial, number(factor)), t)
        _put_in_place_of(square, polynomial)
        count += 1
    return count


def count_what_is_left_out(model: Any) -> int:
    """Let every normalisation over time count frames at both ends that are not there; how many there were.

    The vocoder's layers take mean and variance of every channel over the whole piece. Where silence is left
    out that it was trained with, they move: words come out up to 7 dB softer, and unevenly. So places in
    the silence that is there stand for what is not: place ``k``, of value ``pₖ``, for a part ``wₖ`` of the
    whole. With ``m`` and ``v`` over what is there, ``mean = m + Σwₖ(pₖ - m)`` and
    ``variance = v + Σwₖ((pₖ - mean)² - v)``. What is spoken is then nearer to that of the whole than
    onnxruntime's of the whole is.

    Args:
        model: Gets two inputs more, after its own, of the same shape ``(k,)``: ``w``, and where the places
            are, as parts of the length.
    """
    ops = _operations()
    weights, standing_in = (ops.parameter([-1], np.float32) for _ in range(2))
    over_time = ops.constant(np.array([2]))

    def mixed(mean: Any, values: Any) -> Any:
        apart = ops.multiply(ops.subtract(values, mean), weights)
        return ops.add(mean, ops.reduce_sum(apart, over_time, keep_dims=True))

    count = 0
    for mean in _of_type(model, "ReduceMean"):
        centred = _follower(mean, "Subtract")
        variance = None if centred is None else _follower(_follower(centred, "Multiply"), "ReduceMean")
        if centred is None or variance is None:
            continue
        values = mean.input_value(0)
        length = ops.convert(ops.gather(ops.shape_of(values), over_time, ops.constant(np.int64(0))), "f32")
        places = ops.convert(ops.floor(ops.multiply(length, standing_in)), "i64")
        silent = ops.gather(values, places, ops.constant(np.int64(2)))
        true_mean = mixed(mean, silent)
        centred.input(1).replace_source_output(true_mean.output(0))
        off = ops.subtract(silent, true_mean)
        targets = variance.output(0).get_target_inputs()
        true_variance = mixed(variance, ops.multiply(off, off))
        for target in targets:
            target.replace_source_output(true_variance.output(0))
        count += 1
    model.add_parameters([weights, standing_in])
    model.validate_nodes_and_infer_types()
    return count


def _operations() -> Any:
    with importing():
        from openvino import opset13  # type: ignore[import-untyped]

    return opset13


def _of_type(model: Any, name: str) -> list[Any]:
    return [one for one in model.get_ordered_ops() if one.get_type_name() == name]


def _follower(node: Any, name: str) -> Any:
    """The first operation of that type that takes what ``node`` gives; None if there is none."""
    if node is None:
        return None
    following = (target.get_node() for target in node.output(0).get_target_inputs())
    return next((one for one in following if one.get_type_name() == name), None)


def _put_in_place_of(old: Any, new: Any) -> None:
    for target in old.output(0).get_target_inputs():
        target.replace_source_output(new.output(0))


def _is_two(output: Any) -> bool:
    node = output.get_node()
    return bool(node.get_type_name() == "Constant" and np.ravel(node.get_data()).tolist() == [2.0])
