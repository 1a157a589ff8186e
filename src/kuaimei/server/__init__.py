"""The outside of the house: HTTP, the realtime protocol, security and metrics.

Imported piece by piece: a worker has the same doors and none of the halls behind them.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kuaimei.server.app import create_app
    from kuaimei.server.metrics import Metrics
    from kuaimei.server.serve import make_server
    from kuaimei.server.services import House
    from kuaimei.server.startup_app import Doorway

__all__ = ["Doorway", "House", "Metrics", "create_app", "make_server"]

_HOMES: Final = {
    "Doorway": "doorway",
    "House": "house",
    "Metrics": "metrics",
    "create_app": "app",
    "make_server": "serve",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
