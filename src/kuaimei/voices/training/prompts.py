"""Prompts for training and evaluating a voice: everyday sentences that cover all sounds and tones."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from kuaimei.engines.types import Language
from kuaimei.voices.types import Step

__all__ = ["ENROLMENT_SCRIPT", "EVAL_PROMPTS", "TRAINING_PROMPTS", "clauses", "training_prompts"]

TRAINING_PROMPTS: Final[Mapping[Language, Sequence[str]]] = {
    "zh": (
        "你今天過得怎麼樣？一起吃飯吧？",
        "我想先喝一杯熱茶，再慢慢聊。",
        "外面好像下雨了，記得帶把傘。",
        "這條路一直走，過橋就到車站。",
        "他們昨天去了哪裡？很熱鬧吧？",
        "真的嗎？太好了，恭喜兩位！",
        "請把窗戶關起來，風有點大。",
        "春天的花開得特別漂亮，去看看。",
        "弟弟早上喝牛奶，也吃一個雞蛋。",
        "圖書館七點關門，我們快回去。",
    ),
    "en": (
        "How are you doing today? Did you sleep well?",
        "I would like a cup of tea before we talk about it.",
        "It is raining outside, so take a coat with you.",
        "Just follow this road north until you see the bridge.",
        "Where did they go yesterday? I heard it was lively.",
        "Really? That is wonderful news for both of you!",
        "Please close the window, there is a draught here.",
        "Choose whichever of the flowers you enjoy the most.",
        "My brother drinks milk and eats an egg each morning.",
        "The shop shuts at seven, we had better hurry back.",
    ),
}
"""As long as utterances in a conversation: a style trained on shorter ones slurs longer ones."""

EVAL_PROMPTS: Final[Mapping[Language, Sequence[str]]] = {
    "zh": (
        "早安，昨晚睡得好不好？我幫你準備了早餐。",
        "這個問題我需要再想一想，下午給你答覆。",
        "他小時候住在海邊，每天都去游泳。",
        "請問到圖書館應該搭哪一路公車？",
    ),
    "en": (
        "Good morning, did you sleep well? I have made some breakfast.",
        "I need to think about this question and will answer in the afternoon.",
        "He grew up by the sea and used to swim every day.",
        "Could you tell me which bus goes to the library?",
    ),
}
"""Prompts for evaluation, never used in training."""

ENROLMENT_SCRIPT: Final[Mapping[Language, str]] = {
    "zh": (
        "你好，我正在錄一段自己的聲音。窗外的陽光很溫暖，街上的人來來往往。"
        "等一下我要去買杯咖啡，再慢慢走回家。希望今天你也過得開心，我們改天再聊！"
    ),
    "en": (
        "Hello, I am recording a little of my own voice. The sun outside is warm, and people are passing "
        "by in the street. Soon I will get a cup of coffee and walk home slowly. I hope you are having a "
        "good day as well; let us talk again soon!"
    ),
}
"""Text to read when recording a reference: some fifteen seconds."""

_CLAUSE: Final = re.compile(r"[^，。？！,.?!]+[，。？！,.?!]+")


def clauses(lines: Sequence[str]) -> Sequence[str]:
    """Split ``lines`` into the clauses that a decoder is trained on.

    Prosody is fixed before, so short prompts lose nothing; and the shorter they are, the more of them fit
    into the time budget (with longer ones similarity was lower, 0.66 against 0.70).
    """
    return [clause.strip() for line in lines for clause in _CLAUSE.findall(line)]


def training_prompts(step: Step, language: Language) -> Sequence[str]:
    """Return the training prompts of ``step``: clauses for a decoder, whole lines for a style."""
    lines = TRAINING_PROMPTS[language]
    return clauses(lines) if step == "decoder" else lines
