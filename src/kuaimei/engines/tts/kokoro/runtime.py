"""What computes Kokoro; here onnxruntime on the int8 file, in `openvino` OpenVINO on the fp32 file."""

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
"""Cores from which pieces are rendered side by side, each on one: many cores get more done so. Two do not:
three pieces took 3.51 s one after the other, 3.62 s side by side, where one core waits in the end."""

RuntimeName: TypeAlias = Literal["onnxruntime-int8", "openvino-bf16", "openvino-f32"]


@dataclass(frozen=True, slots=True)
class SynthesisInput:
    """One piece to render.

    Attributes:
        tokens: With the pad (0) at both ends, shape ``(n,)`` int64.
        style: Shape ``(1, 256)``.
        speed: 1.0 is the voice's own pace.
    """

    tokens: NDArray[np.int64]
    style: NDArray[np.float32]
    speed: float

    def inputs(self, tokens: str) -> dict[str, NDArray[Any]]:
        """As the network takes them, which calls the first one ``tokens`` or otherwise."""
        speed = np.array([self.speed], np.float32)
        return {tokens: self.tokens[np.newaxis], "style": self.style, "speed": speed}


class KokoroRuntime(Protocol):
    """Renders pieces; safe to call from several threads."""

    name: RuntimeName

    def render(self, utterance: SynthesisInput, *, alone: bool) -> NDArray[np.float32]:
        """Samples at `RATE`, shape ``(m,)``.

        Args:
            utterance: What to say.
            alone: On all the threads there are; otherwise on one, and others may render beside it, where
                there are as many as `SIDE_BY_SIDE_FROM`.
        """
        ...

    def settle(self) -> None:
        """Let go of what was needed only until a first piece had been rendered in each way."""
        ...

    def close(self) -> None:
        """Let go of the network; nothing can be rendered afterwards."""
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
            raise RuntimeError("the synthesiser is closed")
        audio: NDArray[np.float32] = session.run(None, utterance.inputs("tokens"))[0].reshape(-1)
        return audio

    def settle(self) -> None:
        """See `KokoroRuntime.settle`."""
        release_freed()

    def close(self) -> None:
        """See `KokoroRuntime.close`."""
        self._wide = self._narrow = None
