"""The real encoders hear who speaks, in Kokoro's voices."""

from collections.abc import Callable

import pytest

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.engines.speaker import open_encoder
from kuaimei.models.catalog import load_catalog
from kuaimei.models.model_store import ModelStore
from kuaimei.settings import Settings

pytestmark = pytest.mark.models

ONE = "今天下午我們一起去公園散步，好不好？"
OTHER = "這個問題我已經想過了，答案是可以。"


@pytest.mark.parametrize("name", ["ge2e", "campplus", "eres2net"])
def test_a_voice_is_like_itself_whatever_it_says(name: str, spoken: Callable[..., Pcm]) -> None:
    shelf, entry = ModelStore(Settings().weights_dir), load_catalog().entry(name)
    if shelf.problem(entry):
        pytest.skip(f"the encoder {name} {shelf.problem(entry)}: kuaimei models pull {name}")
    encoder = open_encoder(shelf.folder(name), threads=2)
    she, he, she_again = (
        encoder.embed(spoken(text, voice), ASR_RATE)
        for text, voice in ((ONE, "zf_xiaoxiao"), (OTHER, "zm_yunyang"), (OTHER, "zf_xiaoxiao"))
    )

    assert encoder.name == name
    assert she @ she_again > 0.75
    assert she @ he < she @ she_again - 0.2
    assert shelf.verify(entry) == []
