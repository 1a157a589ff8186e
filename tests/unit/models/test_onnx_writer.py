from pathlib import Path

import numpy as np

from kuaimei.engines.onnx_sessions import open_session
from kuaimei.models.onnx_reader import read_onnx
from kuaimei.models.onnx_writer import Graph


def test_what_is_written_computes_what_was_meant_and_keeps_its_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    layer = rng.standard_normal((3, 5))
    weights = {"layer.weight": layer, "unused": np.zeros(400)}
    graph = Graph("small", weights)
    product = graph.node("Gemm", "x", graph.weight("layer.weight"), alpha=0.5, transB=1)

    total = graph.node("Add", product, graph.constant(np.array([1.0, 2.0, 3.0], np.float32)))
    path = tmp_path / "model.onnx"
    graph.save(path, {"x": ("n", 5)}, {"sum": (total, ("n", 3)), "product": (product, ("n", 3))})

    x = rng.standard_normal((4, 5)).astype(np.float32)
    found = open_session(path, threads=1).run(["sum", "product"], {"x": x})

    expected = 0.5 * x @ layer.T.astype(np.float32)
    np.testing.assert_allclose(found[0], expected + np.array([1.0, 2.0, 3.0]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], expected, rtol=1e-5, atol=1e-6)
    tensors = read_onnx(path).tensors
    np.testing.assert_array_equal(tensors["layer.weight"], layer.astype(np.float32))
    assert "unused" not in tensors


def test_several_outputs_and_whole_numbers(tmp_path: Path) -> None:
    graph = Graph("parts", {})
    first, second = graph.nodes("Split", ["x"], 2, axis=0, num_outputs=2)
    turned = graph.node("Gather", second, graph.constant(np.array([-1, 0], np.int64)), axis=1)
    path = tmp_path / "model.onnx"
    graph.save(path, {"x": (2, 3)}, {"first": (first, (1, 3)), "turned": (turned, (1, 2))})

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = open_session(path, threads=1).run(["first", "turned"], {"x": x})

    np.testing.assert_array_equal(found[0], [[0, 1, 2]])
    np.testing.assert_array_equal(found[1], [[5, 3]])
