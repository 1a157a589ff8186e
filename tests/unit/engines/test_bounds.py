"""Every network is loaded in one place for its library, where its threads and its memory are bounded."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kuaimei
from kuaimei.engines.tts.kokoro import openvino

SOURCE = Path(kuaimei.__file__).parent

LOADERS = {
    ("compile_model",): "engines/tts/kokoro/openvino.py:_compile",
    ("import_model",): "engines/tts/kokoro/openvino.py:_compile",
    ("InferenceSession",): "engines/onnx_sessions.py:open_session",
    ("models", "Whisper"): "engines/asr/whisper_decoder.py:load_whisper",
    ("WhisperModel",): "engines/asr/whisper_decoder.py:load_whisper",
    ("xllamacpp", "Server"): "engines/llm/llama_cpp.py:__init__",
    ("vosk", "Model"): "engines/asr/vosk.py:_load",
}
"""Ends of the names by which libraries load networks, and the one function that may call each."""


def dotted(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Attribute):
        return (*dotted(node.value), node.attr)
    return (node.id,) if isinstance(node, ast.Name) else ()


def loading(tree: ast.AST, function: str = "") -> Iterator[tuple[tuple[str, ...], str]]:
    """Each call of a loader in ``tree``, with the function around it."""
    for node in ast.iter_child_nodes(tree):
        within = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            yield from ((end, within) for end in LOADERS if name[-len(end) :] == end)
        yield from loading(node, within)


def everywhere() -> set[tuple[tuple[str, ...], str]]:
    return {
        (end, f"{path.relative_to(SOURCE).as_posix()}:{function}")
        for path in SOURCE.rglob("*.py")
        for end, function in loading(ast.parse(path.read_text(encoding="utf-8")))
    }


def test_networks_are_loaded_in_one_place_each() -> None:
    elsewhere = {(end, place) for end, place in everywhere() if place != LOADERS[end]}
    assert not elsewhere, "load it through the function that bounds its memory"


def test_the_scan_finds_them() -> None:
    found = {place for _, place in everywhere()}
    assert found == set(LOADERS.values())
    sample = ast.parse("class A:\n    def f(self):\n        return [rt.InferenceSession(p) for p in ps]")
    assert list(loading(sample)) == [(("InferenceSession",), "f")]


def test_the_synthesiser_keeps_few_compiled_operations() -> None:
    given: dict[str, Any] = {}

    class Core:
        def compile_model(self, model: object, device: str, config: dict[str, Any]) -> object:
            given.update(config, device=device)
            return model

    kept = openvino.KERNELS_KEPT
    assert 8 <= kept <= 64, "0 changes the sound; thousands grow without end"
    openvino._compile(Core(), object(), "f32", threads=3, streams=2, kept_kernels=kept)
    assert given["CPU_RUNTIME_CACHE_CAPACITY"] == kept
    assert given["INFERENCE_NUM_THREADS"] == 3
    assert given["NUM_STREAMS"] == 2


def test_onnxruntime_keeps_no_arena(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime  # type: ignore[import-untyped]

    from kuaimei.engines.onnx_sessions import open_session

    given: list[Any] = []

    def session(path: str, sess_options: Any, providers: list[str]) -> object:
        given.append(sess_options)
        return object()

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    (tmp_path / "model.onnx").write_bytes(b"anything")
    open_session(tmp_path / "model.onnx", threads=2)
    (options,) = given
    assert options.enable_cpu_mem_arena is False
    assert options.intra_op_num_threads == 2
