"""One PostgreSQL for all tests of the server that want a real store."""

from tests.integration.store.conftest import cluster, folder, made, settings

__all__ = ["cluster", "folder", "made", "settings"]
