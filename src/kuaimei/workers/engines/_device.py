"""Where a network of torch's is to compute."""

from kuaimei.workers.types import Options

__all__ = ["device_of"]


def device_of(options: Options) -> str:
    """As asked; otherwise the graphics card if there is one."""
    if options.device:
        return options.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
