"""Kokoro's fp32 network in OpenVINO, its heavy part in bfloat16 where the CPU supports it."""

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.import_lock import importing
from kuaimei.engines.tts.kokoro.graph_passes import approximate_snakes
from kuaimei.engines.tts.kokoro.runtime import SIDE_BY_SIDE_FROM, RuntimeName, SynthesisInput
from kuaimei.errors import WeightsError
from kuaimei.system.memory import release_freed, release_mapped

__all__ = ["KERNELS_KEPT", "OpenVino"]

KERNELS_KEPT: Final = 32
"""Compiled operations of each kind that OpenVINO's CPU plug-in caches for recurring shapes.

Every text has another length: by default it caches 5,000 of each kind and grows by about 5 MB a text. Few
work as well, since shapes recur within one network. None at all (0) takes 4 to 9 % more time and selects
other kernels in places: the audio changes (a correlation of 0.997), where 8 and more leave it unchanged, bit
for bit.
"""

_SUBGRAPH_BOUNDARIES: Final = (
    "/decoder/Slice",  # style of the decoder
    "/decoder/decoder/Unsqueeze",  # F0
    "/encoder/Reshape_1",  # energy
    "/encoder/MatMul_1",  # phonemes laid out in time
    "/decoder/decoder/generator/Concat_3",  # spectrum of the harmonic source
)
"""Tensors between the exact and the heavy part, by the names of the exported graph."""


class OpenVino:
    """The network in two parts: durations, pitch and harmonic source in float32; the vocoder as configured.

    Everything in bfloat16 is as fast but ruins the source, whose phase is a sum over thousands of
    samples: speech then sounds hoarse and 天氣 is recognized as 點擊. In two parts the vocoder's rounding
    stays 28 dB below the signal.

    Args:
        path: ``fp32.onnx``.
        threads: Cores that may be used at once.
        precision: Precision of the vocoder.
        cache: Folder in which the compiled network may be kept for the next start.
        kept_kernels: See `KERNELS_KEPT`.

    Raises:
        WeightsError: If the file is missing or damaged.
    """

    def __init__(
        self,
        path: Path,
        threads: int,
        precision: Literal["bf16", "f32"],
        cache: Path | None,
        *,
        kept_kernels: int = KERNELS_KEPT,
    ) -> None:
        with importing():
            import openvino  # type: ignore[import-untyped]

        self.name: RuntimeName = "openvino-bf16" if precision == "bf16" else "openvino-f32"
        if not path.is_file():
            raise WeightsError(f"there is no ONNX model at {path}; run: kuaimei models pull kokoro")
        core = openvino.Core()
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)
            core.set_property({"CACHE_DIR": str(cache)})
        try:
            parts = _parts(core.read_model(path), precision)
        except RuntimeError as error:
            raise WeightsError(f"{path} is not a readable ONNX model; run: kuaimei models verify") from error

        def chains(streams: int) -> list[_Chain]:
            compiled = [
                _compile(core, model, kind, threads=threads, streams=streams, kept_kernels=kept_kernels)
                for model, kind in parts
            ]
            return [_Chain([part.create_infer_request() for part in compiled]) for _ in range(streams)]

        known = _compiled_files(cache)
        first = chains(1)
        if _compiled_files(cache) != known:
            # A network compiled just now holds the weights several times over; one read from the cache
            # holds them once.
            del first
            first = chains(1)
        self._wide = _Pool(first)
        self._narrow = _Pool(chains(threads)) if threads >= SIDE_BY_SIDE_FROM else self._wide
        self._files = _compiled_files(cache)

    def render(self, utterance: SynthesisInput, *, alone: bool) -> NDArray[np.float32]:
        """See `KokoroRuntime.render`."""
        with (self._wide if alone else self._narrow).one() as chain:
            return chain.run(utterance.inputs("input_ids"))

    def settle(self) -> None:
        """See `KokoroRuntime.settle`; weights are mapped from the cache and copied on first use."""
        release_mapped(self._files)
        release_freed()

    def close(self) -> None:
        """See `KokoroRuntime.close`."""
        self._wide.clear()
        self._narrow.clear()


class _Chain:
    """Inference requests, each of which passes its outputs to the next."""

    def __init__(self, requests: Sequence[Any]) -> None:
        self._requests = requests

    def run(self, feed: dict[str, Any]) -> NDArray[np.float32]:
        first, *others = self._requests
        first.infer(feed)
        last = first
        for request in others:
            for place in range(len(_SUBGRAPH_BOUNDARIES)):
                request.set_input_tensor(place, last.get_output_tensor(place))
            request.infer()
            last = request
        audio: NDArray[np.float32] = last.get_output_tensor(0).data.reshape(-1).copy()
        return audio


class _Pool:
    """Pool of chains, each of which renders one piece at a time."""

    def __init__(self, chains: Sequence[_Chain]) -> None:
        self._free: queue.SimpleQueue[_Chain | None] = queue.SimpleQueue()
        for chain in chains:
            self._free.put(chain)

    @contextmanager
    def one(self) -> Iterator[_Chain]:
        """Wait for a free chain and hold it."""
        chain = self._free.get()
        try:
            if chain is None:
                raise RuntimeError("the synthesizer is closed")
            yield chain
        finally:
            self._free.put(chain)

    def clear(self) -> None:
        """Drop the free chains; later calls of `one` raise."""
        while not self._free.empty():
            self._free.get()
        self._free.put(None)


def _compile(core: Any, model: Any, precision: str, *, threads: int, streams: int, kept_kernels: int) -> Any:
    """Compile ``model`` for the CPU, with bounded threads and memory."""
    return core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # Pinned threads would compete with those of the other engines for the same cores.
            "ENABLE_CPU_PINNING": False,
            "CPU_RUNTIME_CACHE_CAPACITY": kept_kernels,
        },
    )


def _compiled_files(cache: Path | None) -> frozenset[Path]:
    """Return the files that OpenVINO has put into its cache, of all versions so far."""
    return frozenset() if cache is None else frozenset(cache.glob("*.blob"))


def _parts(model: Any, precision: str) -> list[tuple[Any, str]]:
    """Cut ``model`` at `_SUBGRAPH_BOUNDARIES`; return each part with its precision.

    An unknown graph stays whole, in float32.
    """
    with importing():
        import openvino
        from openvino import opset13 as ops

    def named(graph: Any) -> dict[str, Any]:
        return {op.get_friendly_name(): op for op in graph.get_ordered_ops()}

    nodes = named(model)
    if not all(name in nodes for name in _SUBGRAPH_BOUNDARIES):
        return [(model, "f32")]
    rest = model.clone()
    inputs = []
    for place, output in enumerate(named(rest)[name].output(0) for name in _SUBGRAPH_BOUNDARIES):
        given = ops.parameter(output.get_partial_shape(), output.get_element_type(), name=f"cut{place}")
        for target in output.get_target_inputs():
            target.replace_source_output(given.output(0))
        inputs.append(given)
    front = openvino.Model(
        [ops.result(nodes[name].output(0)) for name in _SUBGRAPH_BOUNDARIES], model.get_parameters(), "front"
    )
    vocoder = openvino.Model(rest.get_results(), inputs, "vocoder")
    approximate_snakes(vocoder)
    return [(front, "f32"), (vocoder, precision)]
