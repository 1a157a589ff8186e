"""The weights as set-up leaves them; nothing is fetched here."""

import ctranslate2  # type: ignore[import-untyped]
import pytest

from kuaimei.models.catalog import load_catalog
from kuaimei.models.model_store import ModelStore
from kuaimei.models.resolve import plan, resolve, roles
from kuaimei.settings import Settings

pytestmark = pytest.mark.models


def test_every_role_of_the_settings_has_its_weights() -> None:
    settings = Settings()
    for role, value in roles(settings).items():
        source = resolve(role, value, settings.weights_dir)
        assert source.licence
        assert source.path is None or source.path.is_dir()


def test_what_was_pulled_has_a_manifest_and_nothing_half_done_beside_it() -> None:
    settings = Settings()
    shelf = ModelStore(settings.weights_dir)
    for entry in plan(settings):
        manifest = shelf.manifest(entry.name)
        assert manifest is not None
        assert manifest.licence == entry.licence
        found = {
            path.relative_to(shelf.folder(entry.name)).as_posix()
            for path in shelf.folder(entry.name).rglob("*")
            if path.is_file()
        }
        # The TTS engine may keep what it compiled beside the weights: nothing may be missing.
        assert set(manifest.files) <= found


@pytest.mark.parametrize("name", ["smart-turn", "vosk-small"])
def test_the_contents_are_what_the_catalogue_says(name: str) -> None:
    assert ModelStore(Settings().weights_dir).verify(load_catalog().entry(name)) == []


def test_whisper_is_a_whole_multilingual_model() -> None:
    settings = Settings()
    source = resolve("asr", settings.asr, settings.weights_dir)
    whisper = ctranslate2.models.Whisper(str(source.path), device="cpu", compute_type="int8")

    assert whisper.is_multilingual
    assert whisper.n_mels in (80, 128)
