"""Messages of the checks, in both languages."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from kuaimei.voices.types import Check, Verdict

__all__ = ["MESSAGES", "make_check", "unmeasured"]

Advice: TypeAlias = dict[Literal["zh", "en"], str]

MESSAGES: Final[Mapping[str, Mapping[Verdict, tuple[str, str]]]] = {
    "speech": {
        "ok": ("說話的長度足夠。", "The recording contains enough speech."),
        "warning": (
            "說話的時間偏短，錄 10 到 15 秒會更像。",
            "The recording contains little speech; 10 to 15 seconds give a more similar voice.",
        ),
        "refused": (
            "聽到的說話不到 3 秒，請錄 10 到 15 秒清楚的說話。",
            "Less than 3 seconds of speech were detected; record 10 to 15 seconds of clear speech.",
        ),
    },
    "clipping": {
        "ok": ("沒有爆音。", "The recording is not clipped."),
        "warning": (
            "有些地方爆音了，錄音音量調小一點會更好。",
            "Parts of the recording are clipped; a lower recording level would be better.",
        ),
        "refused": (
            "錄音嚴重爆音，請把錄音音量調小，或離麥克風遠一點再錄。",
            "The recording is badly clipped; lower the recording level or move away from the microphone.",
        ),
    },
    "loudness": {
        "ok": ("音量足夠。", "The recording is loud enough."),
        "warning": (
            "錄音偏小聲，靠近麥克風一點會更好。",
            "The recording is rather quiet; moving closer to the microphone would be better.",
        ),
        "refused": (
            "錄音太小聲，請靠近麥克風或把錄音音量調大再錄。",
            "The recording is too quiet; move closer to the microphone or raise the recording level.",
        ),
    },
    "noise": {
        "ok": ("背景夠安靜。", "The background is quiet enough."),
        "warning": (
            "聽得到背景雜音，在安靜的地方錄會更像。",
            "There is background noise; a quieter place gives a more similar voice.",
        ),
        "refused": (
            "背景雜音太大，請在安靜的地方再錄一次。",
            "The background is too noisy; record again in a quiet place.",
        ),
    },
    "reverberation": {
        "ok": ("沒有明顯的回音。", "There is no noticeable echo."),
        "warning": (
            "聽得到房間的回音，在有窗簾、沙發的房間靠近麥克風錄會更好。",
            "There is some echo; recording close to the microphone in a furnished room would be better.",
        ),
        "refused": (
            "回音太重，請換到較小、有布料的房間，靠近麥克風再錄。",
            "There is too much echo; record close to the microphone in a small room with soft furnishings.",
        ),
    },
    "music": {
        "ok": ("沒有音樂。", "There is no music."),
        "warning": (
            "停頓時聽得到音樂或持續的聲響，關掉會更好。",
            "There is music or a steady tone in the pauses; turning it off would be better.",
        ),
        "refused": (
            "錄音裡有音樂，請用只有說話聲的錄音。",
            "There is music in the recording; use one that contains only speech.",
        ),
    },
    "speakers": {
        "ok": ("只聽到一個人說話。", "One person is speaking."),
        "warning": (
            "可能不只一個人說話，請確認錄音裡只有一個人。",
            "There may be more than one speaker; make sure that there is only one.",
        ),
        "refused": (
            "聽到不只一個人說話，請用只有一個人的錄音。",
            "More than one person is speaking; use a recording of one person only.",
        ),
    },
    "transcript": {
        "ok": ("文字與錄音相符。", "The text matches the recording."),
        "warning": (
            "文字與聽到的有些不同，請再核對。",
            "The text differs slightly from the recognized speech; please check it.",
        ),
        "refused": (
            "文字與錄音說的不一樣，請更正文字，或留白讓系統自己聽寫。",
            "The text does not match the recording; correct it, or leave it empty to have the recording "
            "transcribed automatically.",
        ),
    },
}
"""Messages by check and verdict: (zh, en)."""

_UNMEASURED: Final[Mapping[str, tuple[str, str]]] = {
    "noise": (
        "錄音裡沒有停頓，無法測量背景雜音。",
        "There is no pause in which background noise could be measured.",
    ),
    "reverberation": (
        "錄音裡沒有夠長的停頓，無法測量回音。",
        "There is no pause long enough to measure the echo.",
    ),
    "music": (
        "錄音裡沒有停頓，無法判斷有沒有音樂。",
        "There is no pause in which music could be detected.",
    ),
    "speakers": (
        "說話太短，或沒有安裝聲紋模型，無法判斷有幾個人。",
        "The speech is too short, or the speaker encoder is not installed, to tell speakers apart.",
    ),
}


def make_check(check: str, verdict: Verdict, value: float, unit: str) -> Check:
    """Build a check with its advice; ``value`` is rounded for display.

    Args:
        check: Name of the check.
        verdict: Its result.
        value: Measured value, in ``unit``.
        unit: Unit of the value.
    """
    zh, en = MESSAGES[check][verdict]
    return Check(check=check, verdict=verdict, value=round(value, 3), unit=unit, advice={"zh": zh, "en": en})


def unmeasured(check: str) -> Check:
    """Build the result of a check that could not be measured; its verdict is ``ok``."""
    zh, en = _UNMEASURED[check]
    return Check(check=check, verdict="ok", advice={"zh": zh, "en": en})
