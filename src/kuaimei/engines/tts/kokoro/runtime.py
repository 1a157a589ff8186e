"""What computes Kokoro: onnxruntime on the int8 file, or OpenVINO on the fp32 file."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.inference import Session, open_session
from kuaimei.errors import WeightsError

__all__ = ["RATE", "OnnxRuntime", "OpenVino", "Runtime", "RuntimeName", "Utterance", "open_runtime"]

RATE: Final = 24_000
"""Sample rate of Kokoro in Hz."""

RuntimeName: TypeAlias = Literal["onnxruntime-int8", "openvino-bf16", "openvino-f32"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One piece to render.

    Attributes:
        tokens: With the pad (0) at both ends, shape ``(n,)`` int64.
        style: Shape ``(1, 256)``.
        speed: 1.0 is the voice's own pace.
    """

    tokens: NDArray[np.int64]
    style: NDArray[np.float32]
    speed: float


class Runtime(Protocol):
    """Renders pieces; safe to call from several threads."""

    name: RuntimeName

    def render(self, utterance: Utterance, *, alone: bool) -> NDArray[np.float32]:
        """Samples at `RATE`, shape ``(m,)``.

        Args:
            utterance: What to say.
            alone: On all the threads there are; otherwise on one, and others may render beside it.
        """
        ...

    def close(self) -> None:
        """Let go of the network; nothing can be rendered afterwards."""
        ...


def open_runtime(name: RuntimeName, folder: Path, threads: int, cache: Path | None = None) -> Runtime:
    """Load the network for ``name`` from ``folder``; takes 1 to 4 s.

    Args:
        name: See `RuntimeName`.
        folder: Kokoro's weights.
        threads: Cores that may be used at once.
        cache: Folder in which a compiled network may be kept for the next start.

    Raises:
        WeightsError: If the file it needs is missing or damaged.
    """
    if name == "onnxruntime-int8":
        return OnnxRuntime(folder / "int8.onnx", threads)
    return OpenVino(folder / "fp32.onnx", threads, "bf16" if name == "openvino-bf16" else "f32", cache)


class OnnxRuntime:
    """The int8 network in onnxruntime."""

    name: RuntimeName = "onnxruntime-int8"

    def __init__(self, path: Path, threads: int) -> None:
        self._narrow: Session | None = open_session(path, threads=1)
        self._wide: Session | None = open_session(path, threads=threads) if threads > 1 else self._narrow

    def render(self, utterance: Utterance, *, alone: bool) -> NDArray[np.float32]:
        """See `Runtime.render`."""
        session = self._wide if alone else self._narrow
        if session is None:
            raise RuntimeError("the synthesiser is closed")
        feed = {
            "tokens": utterance.tokens[np.newaxis],
            "style": utterance.style,
            "speed": np.array([utterance.speed], np.float32),
        }
        audio: NDArray[np.float32] = session.run(None, feed)[0].reshape(-1)
        return audio

    def close(self) -> None:
        """See `Runtime.close`."""
        self._wide = self._narrow = None


class OpenVino:
    """The fp32 network in OpenVINO, computed in float32 or bfloat16."""

    def __init__(
        self, path: Path, threads: int, precision: Literal["bf16", "f32"], cache: Path | None
    ) -> None:
        import openvino  # type: ignore[import-untyped]

        self.name: RuntimeName = "openvino-bf16" if precision == "bf16" else "openvino-f32"
        if not path.is_file():
            raise WeightsError(f"there is no network at {path}; run: kuaimei models pull kokoro")
        core = openvino.Core()
        common: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            # Pinned threads would fight with those of the other engines for the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)
            common["CACHE_DIR"] = str(cache)
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            raise WeightsError(f"{path} is not a readable network; run: kuaimei models verify") from error
        wide = core.compile_model(model, "CPU", {**common, "NUM_STREAMS": 1})
        self._wide = _Requests([wide.create_infer_request()])
        self._narrow = self._wide
        if threads > 1:
            # One stream for each thread: clauses side by side use many cores better than one clause does.
            narrow = core.compile_model(model, "CPU", {**common, "NUM_STREAMS": threads})
            self._narrow = _Requests([narrow.create_infer_request() for _ in range(threads)])

    def render(self, utterance: Utterance, *, alone: bool) -> NDArray[np.float32]:
        """See `Runtime.render`."""
        feed: dict[str, Any] = {
            "input_ids": utterance.tokens[np.newaxis],
            "style": utterance.style,
            "speed": np.array([utterance.speed], np.float32),
        }
        with (self._wide if alone else self._narrow).one() as request:
            request.infer(feed)
            audio: NDArray[np.float32] = request.get_output_tensor(0).data.reshape(-1).copy()
        return audio

    def close(self) -> None:
        """See `Runtime.close`."""
        self._wide.clear()
        self._narrow.clear()


class _Requests:
    """Inference requests: each renders one piece at a time."""

    def __init__(self, requests: list[Any]) -> None:
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for request in requests:
            self._free.put(request)

    @contextmanager
    def one(self) -> Iterator[Any]:
        """Wait for a free one and hold it."""
        request = self._free.get()
        if request is None:
            self._free.put(None)
            raise RuntimeError("the synthesiser is closed")
        try:
            yield request
        finally:
            self._free.put(request)

    def clear(self) -> None:
        """Drop those that are free; whoever asks from now on is refused."""
        while not self._free.empty():
            self._free.get()
        self._free.put(None)
