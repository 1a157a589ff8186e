"""ONNX inference sessions on this machine's CPU cores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.import_lock import importing
from kuaimei.errors import WeightsError

__all__ = ["CancellableRun", "OnnxSession", "StoppableSession", "open_session"]


class OnnxSession(Protocol):
    """The part of ``onnxruntime.InferenceSession`` in use; safe to call from several threads."""

    def run(self, output_names: list[str] | None, input_feed: dict[str, Any]) -> list[Any]:
        """Return the outputs for the inputs given by name."""
        ...


class StoppableSession(OnnxSession, Protocol):
    """Session whose runs can be stopped from another thread, between two operations of the network."""

    def run(
        self, output_names: list[str] | None, input_feed: dict[str, Any], run_options: Any = None
    ) -> list[Any]:
        """Return the outputs for the inputs given by name; ``run_options``: ``onnxruntime.RunOptions``."""
        ...


class CancellableRun:
    """One run of a session that can be stopped from another thread.

    Attributes:
        options: Run options to pass to the session.
        stopped: True once `stop` has been called, even if the run had already finished.
    """

    def __init__(self) -> None:
        with importing():
            import onnxruntime  # type: ignore[import-untyped]

        self.options: Any = onnxruntime.RunOptions()
        self.stopped = False

    def stop(self) -> None:
        """Make the session raise between two operations of the network, within about 20 ms."""
        self.stopped = True
        self.options.terminate = True


def open_session(
    path: Path, *, threads: int, replaced: Mapping[str, NDArray[np.float32]] | None = None
) -> StoppableSession:
    """Load the network at ``path`` for ``threads`` threads.

    The memory arena is off: it never releases what the longest input once took.

    Args:
        path: ONNX file.
        threads: Threads that compute one input.
        replaced: Constants (initializers, by name) that replace those of the file.

    Raises:
        WeightsError: If the file is missing or is not an ONNX network.
    """
    with importing():
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    # Threads that spin while they wait slow down everything else on these cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if not path.is_file():
        raise WeightsError(f"there is no ONNX model at {path}; run: kuaimei models pull")
    kept = {name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in (replaced or {}).items()}
    for name, value in kept.items():
        options.add_initializer(name, value)
    try:
        session: StoppableSession = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exception classes are not public and share no base of their own
        raise WeightsError(f"{path} is not a readable ONNX model; run: kuaimei models verify") from error
    return _WithConstants(session, kept) if kept else session


class _WithConstants:
    """Session with the replaced constants, which it reads in place: they must live as long as it does."""

    def __init__(self, session: StoppableSession, constants: Mapping[str, object]) -> None:
        self._session = session
        self._constants = constants

    def run(
        self, output_names: list[str] | None, input_feed: dict[str, Any], run_options: Any = None
    ) -> list[Any]:
        """See `StoppableSession.run`."""
        return self._session.run(output_names, input_feed, run_options)
