"""The fake site on loopback, a client for it, and a folder for weights."""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.unit.models.serving import Handler, Site


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    handler = type("Handler", (Handler,), {"site": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        served.address = f"http://127.0.0.1:{server.server_address[1]}"
        served.pages["/hub"] = b"hello"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10, trust_env=False) as made:
        yield made


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tmp_path / "models"
