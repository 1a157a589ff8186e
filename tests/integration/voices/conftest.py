"""One PostgreSQL for all tests of voices, as for those of the store."""

import pytest

from kuaimei.voices.training import job
from tests.integration.store.conftest import cluster, folder, made, settings

__all__ = ["cluster", "folder", "made", "settings"]


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """News is written when it comes: nobody has to wait a second for it."""
    monkeypatch.setattr(job, "_UPDATE_INTERVAL_S", 0.02)
