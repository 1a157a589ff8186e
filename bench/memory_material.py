"""Texts and speech of different lengths, used to exercise engines while their memory is measured."""

from pathlib import Path
from typing import Final

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm

__all__ = ["SPOKEN", "Speech", "first_clause", "short_text"]

_WHO: Final = ("我", "你們", "隔壁的王先生", "小明", "公司的同事", "我的外婆", "他", "那位從台南來的老師")
_WHEN: Final = ("今天", "明天早上", "上個星期三", "等一下", "每年夏天", "剛才", "後天下午三點", "")
_WHERE: Final = (
    "在台北",
    "在學校附近的公園",
    "",
    "在車站",
    "在家裡",
    "到海邊",
    "在圖書館二樓",
    "在 Starbucks ",
)
_WHAT: Final = (
    "喝茶。",
    "看了一部很好看的電影。",
    "買了三本書，還有一支筆。",
    "想學 Python。",
    "散步，順便吃個飯。",
    "等了半個小時的公車，結果還是遲到了。",
    "睡著了！",
    "問我要不要一起去吃牛肉麵？",
)
_LISTS: Final = (_WHO, _WHEN, _WHERE, _WHAT)

SPOKEN: Final = 24
"""Number of texts that are spoken to get speech for recognition: some 90 s."""


def short_text(number: int) -> str:
    """Return the text of that number, of 3 to 45 characters; those from 0 to 4,095 are all different."""
    # A full-period step visits all of them in an order in which the lengths are mixed.
    place = (number * 1597 + 611) % 4096
    return "".join(words[place >> 3 * index & 7] for index, words in enumerate(_LISTS))


def first_clause(number: int) -> str:
    """Return a first clause of 8 to 12 characters."""
    place = (number * 37 + 11) % 64
    return f"{_WHEN[place & 7] or '現在'}{_WHO[place >> 3 & 7]}{'想去散步呢好了吧'[: 4 + number % 4]}，"[-12:]


class Speech:
    """Speech of any length, cut from a recording.

    Args:
        path: Numpy file of 16 kHz samples.
    """

    def __init__(self, path: Path) -> None:
        self._whole: Pcm = np.load(path)

    def __call__(self, number: int) -> Pcm:
        """Return the excerpt of that number, of 1 to 12 s."""
        generator = np.random.default_rng(number)
        size = int(generator.uniform(1.0, 12.0) * ASR_RATE)
        start = int(generator.integers(0, max(1, len(self._whole) - size)))
        return self._whole[start : start + size]
