"""One PostgreSQL for all tests of people, as for those of the store."""

import pytest

from kuaimei.settings import ServerSettings, Settings
from tests.integration.store.conftest import cluster, folder, made, no_trouble, trouble
from tests.integration.store.conftest import settings as stored_settings

__all__ = ["cluster", "folder", "made", "no_trouble", "stored_settings", "trouble"]


@pytest.fixture
def settings(stored_settings: Settings) -> Settings:
    """With a database and a data folder of one's own, and nobody let in without a key."""
    server = ServerSettings(port=0)
    return stored_settings.model_copy(update={"server": server})
