"""One PostgreSQL for all tests of people, as for those of the store."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(autouse=True)
def own_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder for temporary files that no other test writes to: forgetting somebody searches it, too."""
    tmp_path_factory.getbasetemp()  # the tests' own folders lie in the usual place
    temporary = Path(tempfile.mkdtemp(prefix="people-"))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield temporary
    shutil.rmtree(temporary, ignore_errors=True)
