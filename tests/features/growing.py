"""A synthesiser in a process of its own: how much it grows over texts of new lengths, in MB, on one line.

Usage: ``python -m tests.features.growing KEPT``; KEPT is how many compiled operations of a kind are kept.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.memory_figures import held
from kuaimei.engines.tts.kokoro.assets import load_voices
from kuaimei.engines.tts.kokoro.openvino import OpenVino
from kuaimei.settings import Settings
from kuaimei.system.memory import release_freed
from tests.integration.engines.tts.test_memory import FIRST, piece

__all__ = ["grow"]

_TEXTS: Final = 15


def grow(**kept: int) -> float:
    """Have it speak texts of many lengths; MB of memory that it holds more than before."""
    folder = Settings().weights_dir / "kokoro"
    voices = load_voices(folder)
    with tempfile.TemporaryDirectory(prefix="kuaimei-growing-") as cache:
        network = OpenVino(folder / "fp32.onnx", 2, "f32", Path(cache), **kept)
        for length in FIRST:
            network.render(piece(voices, length), alone=True)
        release_freed()
        before = held().anonymous
        for number in range(_TEXTS):
            network.render(piece(voices, 11 + 3 * number), alone=True)
        release_freed()
        grown = held().anonymous - before
        network.close()
    return grown


if __name__ == "__main__":
    print(grow(**({"kept_kernels": int(sys.argv[1])} if len(sys.argv) > 1 else {})))
