"""The outside of the house: HTTP, the realtime protocol, security and metrics."""

from kuaimei.server.app import create_app
from kuaimei.server.doorway import Doorway
from kuaimei.server.house import House
from kuaimei.server.metrics import Metrics
from kuaimei.server.serve import make_server

__all__ = ["Doorway", "House", "Metrics", "create_app", "make_server"]
