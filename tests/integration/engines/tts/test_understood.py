"""What Kokoro says is understood: heard back by the real recogniser."""

import difflib
from collections.abc import Callable

import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.asr import open_recognizer
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Language, STTReq
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings

pytestmark = pytest.mark.models

SAID: tuple[tuple[Language, str], ...] = (
    ("zh", "今天天氣很好，我們一起去公園散步吧。"),
    ("zh", "臺灣的夏天很熱，記得多喝水。"),
    ("zh", "如果還有什麼問題，請隨時告訴我。"),
    ("zh", "請打電話到服務台詢問，謝謝。"),
    ("en", "The weather is nice today, so let us take a walk in the park."),
)


def words(text: str) -> str:
    return "".join(char for char in text.lower().replace("臺", "台") if char.isalnum())


async def test_nearly_every_character_is_understood(settings: Settings, spoken: Callable[..., Pcm]) -> None:
    source = EngineSource("asr", "whisper-small", "whisper", settings.weights_dir / "whisper-small")
    right = total = 0
    heard = []
    async with open_recognizer(
        EngineContext(settings, Scheduler("cores", settings.engines.cores)), source
    ) as ears:
        for language, text in SAID:
            chunk = await ears.transcribe(spoken(text), STTReq(language=language))
            matcher = difflib.SequenceMatcher(None, words(text), words(chunk.text), autojunk=False)
            right += sum(block.size for block in matcher.get_matching_blocks())
            total += max(len(words(text)), len(words(chunk.text)))
            heard.append(chunk.text)
    assert right / total > 0.9, heard
