"""Selects the fastest runtime on this machine: measured once, then cached."""

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Final, Literal

import numpy as np

from kuaimei.engines.import_lock import importing
from kuaimei.engines.tts.kokoro.assets import load_voices
from kuaimei.engines.tts.kokoro.openvino import OpenVino
from kuaimei.engines.tts.kokoro.runtime import KokoroRuntime, OnnxRuntime, RuntimeName, SynthesisInput
from kuaimei.errors import WeightsError
from kuaimei.settings import Settings
from kuaimei.system.privacy import close_to_others

__all__ = ["cache_folder", "cached_choice", "candidates", "choose_runtime", "measure", "open_runtime"]

_CACHE_FILE: Final = "runtime.json"
_REVISION: Final = 2
"""Version of the computation: increment it when a runtime becomes faster, and all are timed again."""
_LENGTHS: Final = (24, 48)
"""Phonemes of the pieces that are timed: a first clause and a later one."""


@dataclass(frozen=True, slots=True)
class _Key:
    """Conditions under which a measurement is valid."""

    cpu: str
    cores: int
    versions: str
    weights: str


def choose_runtime(settings: Settings, folder: Path) -> RuntimeName:
    """Return the runtime to use: as configured, else as measured here, else by the CPU's capabilities.

    Raises:
        WeightsError: If no runtime has its weights.
    """
    names = candidates(settings, folder)
    if len(names) == 1:
        return names[0]
    known = cached_choice(settings, folder)
    if known in names:
        return known
    # bfloat16 in hardware beats int8, which beats float32.
    order: tuple[RuntimeName, ...] = ("openvino-bf16", "onnxruntime-int8", "openvino-f32")
    return min(names, key=order.index)


def candidates(settings: Settings, folder: Path) -> tuple[RuntimeName, ...]:
    """Return the usable runtimes: allowed by the settings, weights installed, supported by the CPU.

    Raises:
        WeightsError: If there is none.
    """
    wanted = settings.engines.tts_runtime
    names: list[RuntimeName] = []
    if wanted != "openvino" and (folder / "int8.onnx").is_file():
        names.append("onnxruntime-int8")
    if wanted != "onnxruntime" and (folder / "fp32.onnx").is_file():
        if _has_bf16():
            names.append("openvino-bf16")
        names.append("openvino-f32")
    if not names:
        what = {"openvino": "fp32.onnx", "onnxruntime": "int8.onnx"}.get(wanted, "int8.onnx and fp32.onnx")
        raise WeightsError(f"{folder} does not contain {what}; run: kuaimei models pull kokoro")
    return tuple(names)


def measure(
    settings: Settings, folder: Path, progress: Callable[[str], None] = lambda line: None
) -> Mapping[RuntimeName, float]:
    """Time every candidate and store the fastest in the data folder; takes 10 to 20 s.

    Call it while nothing else computes: set-up does, once.

    Args:
        settings: Determine the candidates, the number of cores and the data folder.
        folder: Kokoro's weights.
        progress: Called with one line about each candidate's time.

    Returns:
        Seconds of each candidate for a first clause and a later one.
    """
    voices = load_voices(folder)
    generator = np.random.default_rng(7)
    pieces = []
    for length in _LENGTHS:
        tokens = np.zeros(length + 2, np.int64)
        tokens[1:-1] = generator.choice(np.arange(43, 70), length)
        pieces.append(SynthesisInput(tokens, voices.style(voices.names[0], length), 1.0))
    took: dict[RuntimeName, float] = {}
    for name in candidates(settings, folder):
        runtime = open_runtime(name, folder, settings.engines.cores)
        try:
            took[name] = sum(_best_of(3, runtime, piece) for piece in pieces)
        finally:
            runtime.close()
        progress(f"synthesis with {name}: {took[name]:.2f} s")
    fastest = min(took, key=lambda name: took[name])
    memory = {"key": _describe(_key(settings, folder)), "fastest": fastest, "seconds": took}
    path = settings.home / _CACHE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".part")
    fresh.write_text(json.dumps(memory, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)
    return took


def cached_choice(settings: Settings, folder: Path) -> RuntimeName | None:
    """Return the fastest runtime by an earlier `measure` of these weights on this machine, or None."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        memory = json.loads((settings.home / _CACHE_FILE).read_text(encoding="utf-8"))
        if memory["key"] == _describe(_key(settings, folder)):
            fastest: RuntimeName = memory["fastest"]
            return fastest
    return None


def open_runtime(name: RuntimeName, folder: Path, threads: int, cache: Path | None = None) -> KokoroRuntime:
    """Load the network for ``name`` from ``folder``; takes 1 to 4 s.

    Args:
        name: One of `candidates`.
        folder: Kokoro's weights.
        threads: Cores that may be used at once.
        cache: Folder in which a compiled network may be kept for the next start.

    Raises:
        WeightsError: If the file it needs is missing or damaged.
    """
    if name == "onnxruntime-int8":
        return OnnxRuntime(folder / "int8.onnx", threads)
    precision: Literal["bf16", "f32"] = "bf16" if name == "openvino-bf16" else "f32"
    opened = OpenVino(folder / "fp32.onnx", threads, precision, cache)
    if cache is not None:
        close_to_others(cache)  # OpenVINO makes its files readable to all, whatever the umask
    return opened


def cache_folder(settings: Settings) -> Path:
    """Return the folder in which OpenVINO keeps the compiled network; this saves seconds at every start."""
    return settings.home / "cache" / "openvino"


def _best_of(times: int, runtime: KokoroRuntime, piece: SynthesisInput) -> float:
    runtime.render(piece, alone=True)  # the first one of a length is slower
    took = []
    for _ in range(times):
        start = perf_counter()
        runtime.render(piece, alone=True)
        took.append(perf_counter() - start)
    return min(took)


def _has_bf16() -> bool:
    with importing():
        import openvino  # type: ignore[import-untyped]

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _key(settings: Settings, folder: Path) -> _Key:
    digest = hashlib.sha256()
    for name in ("int8.onnx", "fp32.onnx"):
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - (1 << 20)))
                digest.update(f"{name}:{size}:".encode() + file.read())
    packages = [f"{package} {version(package)}" for package in ("onnxruntime", "openvino")]
    versions = ",".join([*packages, f"revision {_REVISION}"])
    return _Key(_cpu(), settings.engines.cores, versions, digest.hexdigest()[:16])


def _describe(key: _Key) -> dict[str, str | int]:
    return {"cpu": key.cpu, "cores": key.cores, "versions": key.versions, "weights": key.weights}


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
