"""Phrases that tell the user that a stage of a turn has failed."""

from kuaimei.dialogue.events import Stage
from kuaimei.engines.types import Language

__all__ = ["apology"]

_TEXTS: dict[Language, dict[Stage, str]] = {
    "zh": {
        "listening": "不好意思，我沒聽清楚，可以再說一次嗎？",
        "recognition": "不好意思，我剛才沒能聽懂，可以再說一次嗎？",
        "thinking": "不好意思，我一時想不出來，請再問我一次。",
        "synthesis": "不好意思，我的聲音出了問題，請先看文字。",
    },
    "en": {
        "listening": "Sorry, I did not catch that. Could you say it again?",
        "recognition": "Sorry, I could not understand that just now. Could you say it again?",
        "thinking": "Sorry, I could not come up with an answer. Please ask me again.",
        "synthesis": "Sorry, my voice is failing me. Please read the text for now.",
    },
}


def apology(stage: Stage, language: Language | None) -> str:
    """Return one sentence for the user in the turn's language (None: zh)."""
    return _TEXTS[language or "zh"][stage]
