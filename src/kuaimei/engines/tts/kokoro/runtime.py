"""Kokoro's runtimes: onnxruntime on the int8 file here, OpenVINO on the fp32 file in `openvino`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.onnx_sessions import OnnxSession, open_session
from kuaimei.system.memory import release_freed

__all__ = ["RATE", "SIDE_BY_SIDE_FROM", "KokoroRuntime", "OnnxRuntime", "RuntimeName", "SynthesisInput"]

RATE: Final = 24_000
"""Sample rate of Kokoro in Hz."""

SIDE_BY_SIDE_FROM: Final = 4
"""Cores from which pieces are rendered in parallel, each on one: many cores get more done this way. Two do
not: three pieces took 3.51 s one after the other, 3.62 s in parallel, where one core idles at the end."""

RuntimeName: TypeAlias = Literal["onnxruntime-int8", "openvino-bf16", "openvino-f32"]


@dataclass(frozen=True, slots=True)
class SynthesisInput:
    """One piece to render.

    Attributes:
        tokens: With the padding (0) at both ends, shape ``(n,)`` int64.
        style: Shape ``(1, 256)``.
        speed: Relative to the voice's own pace, which is 1.0.
    """

    tokens: NDArray[np.int64]
    style: NDArray[np.float32]
    speed: float

    def inputs(self, tokens: str) -> dict[str, NDArray[Any]]:
        """Return the network's inputs; ``tokens`` is the network's name for the first one."""
        speed = np.array([self.speed], np.float32)
        return {tokens: self.tokens[np.newaxis], "style": self.style, "speed": speed}


class KokoroRuntime(Protocol):
    """Renders pieces; safe to call from several threads."""

    name: RuntimeName

    def render(self, utterance: SynthesisInput, *, alone: bool) -> NDArray[np.float32]:
        """Return samples at `RATE`, shape ``(m,)``.

        Args:
            utterance: The piece to render.
            alone: Use all the threads; otherwise use one, and others may render in parallel if there are at
                least `SIDE_BY_SIDE_FROM` threads.
        """
        ...

    def settle(self) -> None:
        """Release memory that was needed only until a first piece had been rendered in each mode."""
        ...

    def close(self) -> None:
        """Release the network; nothing can be rendered afterwards."""
        ...


class OnnxRuntime:
    """The int8 network in onnxruntime."""

    name: RuntimeName = "onnxruntime-int8"

    def __init__(self, path: Path, threads: int) -> None:
        self._wide: OnnxSession | None = open_session(path, threads=threads)
        self._narrow: OnnxSession | None = (
            open_session(path, threads=1) if threads >= SIDE_BY_SIDE_FROM else self._wide
        )

    def render(self, utterance: SynthesisInput, *, alone: bool) -> NDArray[np.float32]:
        """See `KokoroRuntime.render`."""
        session = self._wide if alone else self._narrow
        if session is None:
            raise RuntimeError("the synthesizer is closed")
        audio: NDArray[np.float32] = session.run(None, utterance.inputs("tokens"))[0].reshape(-1)
        return audio

    def settle(self) -> None:
        """See `KokoroRuntime.settle`."""
        release_freed()

    def close(self) -> None:
        """See `KokoroRuntime.close`."""
        self._wide = self._narrow = None
