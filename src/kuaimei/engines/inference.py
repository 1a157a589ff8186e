"""ONNX networks on this machine's cores."""

from pathlib import Path
from typing import Any, Protocol

from kuaimei.engines.importing import importing
from kuaimei.errors import WeightsError

__all__ = ["Session", "open_session"]


class Session(Protocol):
    """What is used of ``onnxruntime.InferenceSession``; safe to call from several threads."""

    def run(self, output_names: list[str] | None, input_feed: dict[str, Any]) -> list[Any]:
        """Outputs for the inputs given by name."""
        ...


def open_session(path: Path, *, threads: int) -> Session:
    """Load the network at ``path`` for ``threads`` threads.

    The memory arena is off: it never gives back what the longest input once took.

    Raises:
        WeightsError: If the file is missing or is no ONNX network.
    """
    with importing():
        import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    # Threads that spin while they wait slow down whatever else computes on these cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if not path.is_file():
        raise WeightsError(f"there is no network at {path}; run: kuaimei models pull")
    try:
        session: Session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exception classes are not public and share no base of their own
        raise WeightsError(f"{path} is not a readable ONNX network; run: kuaimei models verify") from error
    return session
