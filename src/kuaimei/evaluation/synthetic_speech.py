"""Synthetic speech to measure if there are no recordings: stock voices, everyday sentences, three tempos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kuaimei.audio.pcm import Pcm, from_float, to_float
from kuaimei.audio.silence import silence
from kuaimei.audio.streams import collect_pcm
from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.types import Language, TTSReq
from kuaimei.evaluation.degradations import add_noise

__all__ = ["SyntheticUtterance", "add_room_noise", "lines", "speak"]

_VOICES: Final[Mapping[Language, tuple[str, ...]]] = {
    "zh": (
        "zf_xiaobei",
        "zm_yunjian",
        "zf_xiaoni",
        "zm_yunxi",
        "zf_xiaoxiao",
        "zm_yunxia",
        "zf_xiaoyi",
        "zm_yunyang",
    ),
    "en": (
        "af_heart",
        "am_michael",
        "bf_emma",
        "bm_george",
        "af_bella",
        "am_fenrir",
        "bf_isabella",
        "bm_fable",
    ),
}

_PACES: Final = (1.0, 0.85, 1.15)

_MARGIN_MS: Final = 500.0
_ROOM_DB: Final = 50.0
"""Ratio of speech to room noise."""

_TEXTS: Final[Mapping[Language, tuple[str, ...]]] = {
    "zh": (
        "我覺得這個計畫可以開始了。資料都準備好了，明天早上就送出去。",
        "嗯，那個，我再想一下好了。我不太確定，可能要問問別人。",
        "太好了，你終於來了！大家都在等你，快進來坐。",
        "請問這班車會到火車站嗎？如果不會，我應該在哪裡換車？",
        "昨天下了一整天的雨，路上到處都是水，我走了很久才到家。",
        "呃，其實我也不知道該怎麼說。嗯，就是有一點難過。",
        "先把水煮開，再放麵條，三分鐘以後關火，最後加一點蔥花。",
        "你說得對，這件事不能再等了，我們今天就決定吧。",
        "小時候我住在海邊，每天晚上都聽得見浪的聲音。",
        "謝謝你幫我這麼多忙，改天我請你吃飯，好不好？",
    ),
    "en": (
        "I think we are ready to start. Everything is prepared, and we will send it tomorrow morning.",
        "Um, let me think about it. Uh, I am not really sure, maybe I should ask somebody else.",
        "How wonderful, you are here at last! Everybody is waiting, so come in and sit down.",
        "Does this bus go to the station? If it does not, where should I change?",
        "It rained all day yesterday, the roads were full of water, and it took me hours to get home.",
        "Well, uh, I do not know how to say this. Um, it made me a little sad.",
        "Bring the water to the boil, add the noodles, wait three minutes, and turn off the heat.",
        "You are right, this cannot wait any longer. Let us decide today.",
        "When I was a child we lived by the sea, and every night I could hear the waves.",
        "Thank you for all your help. May I invite you for dinner some day?",
    ),
}


@dataclass(frozen=True, slots=True)
class SyntheticUtterance:
    """Text and voice of a synthetic clip.

    Attributes:
        name: Name of the clip.
        language: Language of the text.
        text: Text to speak.
        voice: One of Kokoro's stock voices.
        speed: 1 is the voice's own tempo.
    """

    name: str
    language: Language
    text: str
    voice: str
    speed: float


def lines(count: int) -> Sequence[SyntheticUtterance]:
    """Return ``count`` utterances, always the same; languages alternate, then voices, texts and tempos."""
    made: list[SyntheticUtterance] = []
    for number in range(count):
        language: Language = "en" if number % 2 else "zh"
        at = number // 2
        voices, texts = _VOICES[language], _TEXTS[language]
        # Later rounds shift the texts, so that a voice speaks another one.
        text = (at + at // len(texts)) % len(texts)
        made.append(
            SyntheticUtterance(
                name=f"made{number:03d}",
                language=language,
                text=texts[text],
                voice=voices[at % len(voices)],
                speed=_PACES[at % len(_PACES)],
            )
        )
    return made


async def speak(synthesizer: Synthesizer, line: SyntheticUtterance) -> Pcm:
    """Synthesize the utterance at the synthesizer's rate, as if recorded in a quiet room.

    Silence and room noise surround the speech: digital silence would say nothing about noise.

    Raises:
        EngineError: If synthesis failed.
    """
    req = TTSReq(text=line.text, voice_id=line.voice, speed=line.speed)
    return add_room_noise(await collect_pcm(synthesizer.stream(req)), synthesizer.sample_rate)


def add_room_noise(pcm: Pcm, rate: int) -> Pcm:
    """Return ``pcm`` (``rate`` Hz) like a recording: without DC, in noise, with half a second around it."""
    samples = to_float(pcm)
    pause = silence(_MARGIN_MS, rate)
    # Kokoro's speech has a DC offset, which would make a step at the silence.
    speech = from_float(samples - samples.mean()) if len(samples) else pcm
    return add_noise(np.concatenate([pause, speech, pause]), rate, _ROOM_DB, seed=0)
