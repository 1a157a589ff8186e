from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.engines.tts.kokoro import runtime_selection
from kuaimei.engines.tts.kokoro.runtime import RuntimeName, SynthesisInput
from kuaimei.errors import WeightsError
from kuaimei.settings import EngineSettings, Settings


class Paced:
    """Takes as many ticks of a clock as its name says."""

    clock = 0.0

    def __init__(self, name: RuntimeName, ticks: float) -> None:
        self.name = name
        self._ticks = ticks

    def render(self, utterance: SynthesisInput, *, alone: bool) -> NDArray[np.float32]:
        Paced.clock += self._ticks
        return np.zeros(1, np.float32)

    def settle(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "kokoro"
    (folder / "voices").mkdir(parents=True)
    np.zeros((510, 256), "<f4").tofile(folder / "voices" / "zf_one.bin")
    for name in ("int8.onnx", "fp32.onnx"):
        (folder / name).write_bytes(name.encode() * 100)
    return folder


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    ticks = {"onnxruntime-int8": 3.0, "openvino-bf16": 2.0, "openvino-f32": 1.0}
    monkeypatch.setattr(runtime_selection, "open_runtime", lambda name, *_: Paced(name, ticks[name]))
    monkeypatch.setattr(runtime_selection, "perf_counter", lambda: Paced.clock)
    monkeypatch.setattr(runtime_selection, "_has_bf16", lambda: True)
    return ticks


def settings(tmp_path: Path, **engines: object) -> Settings:
    return Settings(home=tmp_path, engines=EngineSettings.model_validate({"cores": 2, **engines}))


def test_the_fastest_is_measured_once_and_remembered(
    tmp_path: Path, folder: Path, paced: dict[str, float]
) -> None:
    told: list[str] = []
    assert runtime_selection.cached_choice(settings(tmp_path), folder) is None
    assert runtime_selection.choose_runtime(settings(tmp_path), folder) == "openvino-bf16", (
        "a guess, until measured"
    )
    took = runtime_selection.measure(settings(tmp_path), folder, told.append)
    assert took == {"onnxruntime-int8": 6.0, "openvino-bf16": 4.0, "openvino-f32": 2.0}
    assert len(told) == 3
    assert runtime_selection.choose_runtime(settings(tmp_path), folder) == "openvino-f32"


def test_a_measurement_of_something_else_does_not_count(
    tmp_path: Path, folder: Path, paced: dict[str, float]
) -> None:
    runtime_selection.measure(settings(tmp_path), folder)
    assert runtime_selection.cached_choice(settings(tmp_path, cores=4), folder) is None
    (folder / "fp32.onnx").write_bytes(b"other weights")
    assert runtime_selection.cached_choice(settings(tmp_path), folder) is None


@pytest.mark.parametrize("memory", ["", "[]", "{}", '{"key": 3}'])
def test_a_damaged_memory_is_none(tmp_path: Path, folder: Path, memory: str) -> None:
    (tmp_path / "runtime.json").write_text(memory, encoding="utf-8")
    assert runtime_selection.cached_choice(settings(tmp_path), folder) is None


@pytest.mark.parametrize(
    ("wanted", "bf16", "chosen"),
    [
        ("auto", True, "openvino-bf16"),
        ("auto", False, "onnxruntime-int8"),
        ("openvino", False, "openvino-f32"),
        ("onnxruntime", True, "onnxruntime-int8"),
    ],
)
def test_unmeasured_the_cpu_and_the_settings_decide(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, bf16: bool, chosen: str
) -> None:
    monkeypatch.setattr(runtime_selection, "_has_bf16", lambda: bf16)
    assert runtime_selection.choose_runtime(settings(tmp_path, tts_runtime=wanted), folder) == chosen


def test_missing_weights_are_named(tmp_path: Path, folder: Path) -> None:
    (folder / "fp32.onnx").unlink()
    assert runtime_selection.candidates(settings(tmp_path), folder) == ("onnxruntime-int8",)
    with pytest.raises(WeightsError, match=r"does not contain fp32\.onnx"):
        runtime_selection.choose_runtime(settings(tmp_path, tts_runtime="openvino"), folder)
