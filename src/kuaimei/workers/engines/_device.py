"""Choice of the torch device."""

from kuaimei.workers.types import Options

__all__ = ["device_of"]


def device_of(options: Options) -> str:
    """Return the configured device, otherwise the GPU if there is one."""
    if options.device:
        return options.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
