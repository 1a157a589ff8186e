"""Vosk with its real weights, captioning what the synthesiser says."""

from collections.abc import Callable

import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.asr import open_captioner
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings

pytestmark = pytest.mark.models


async def test_captions_grow_while_somebody_speaks(spoken: Callable[..., Pcm]) -> None:
    settings = Settings()
    source = EngineSource("captions", "vosk-small", "vosk", settings.weights_dir / "vosk-small")
    pcm = spoken("請問附近有什麼好吃的餐廳嗎？")
    async with open_captioner(EngineContext(settings, Scheduler("cores", 2)), source) as captioner:
        stream = captioner.open("zh")
        captions: list[str] = []
        for start in range(0, len(pcm), 3200):
            chunk = await stream.push(pcm[start : start + 3200])
            if chunk is not None:
                captions.append(chunk.text)
        await stream.close()
        assert len(captions) >= 3  # they come while the sentence is being spoken
        assert len(set("請問附近有什麼好吃的餐廳") & set(captions[-1])) >= 8
        assert " " not in captions[-1]
        assert [len(c) for c in captions] == sorted(len(c) for c in captions)

        english = captioner.open("en")
        text = ""
        pcm = spoken("Good morning, how are you today?", "af_heart")
        for start in range(0, len(pcm), 3200):
            chunk = await english.push(pcm[start : start + 3200])
            text = chunk.text if chunk is not None else text
        await english.close()
        assert "how are you" in text
