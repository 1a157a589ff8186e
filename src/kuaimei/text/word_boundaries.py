"""Word boundaries, rated by how natural a pause is at each of them."""

import logging
from collections.abc import Iterator
from functools import cache
from itertools import groupby, pairwise
from typing import Any, Final

from kuaimei.text import script
from kuaimei.text.characters import listed
from kuaimei.text.script import simplified_characters
from kuaimei.text.segments import Kind, TextSegment

__all__ = ["boundaries", "preload"]

_CLINGS_BACK: Final = listed("""
    的 地 得 了 着 过 吗 呢 吧 啊 呀 嘛 们 里 上 下 中 内 外 后 前 个 只 件 次 年 月 日 号 点 分 秒 块 元 人
    天 周 岁 度 页 章 名 位 一下 一点 一些 起来 下来 出来 上来 过来 下去 出去 上去 过去 一样
    之间 之后 之前 以上 以下 以后 以前 时候
""")
"""Words that belong to the word before them, so that there is no pause before them."""
_CLINGS_ON: Final = listed("""
    一 二 三 四 五 六 七 八 九 十 百 千 万 亿 两 几 第 每 各 这 那 哪 一个 这个 那个 各种 一种
    不 没 没有 很 最 更 太 较 比较 非常 超 再 又 也 都 就 才 还 被 把 和 与 跟 或 及
    在 从 向 对 为 给 以 让 使 比 是 有 将 会 能 要 可 可以 应该 请 非 帮 的 之 所 去 来 想 用 到 叫 等 像 说
    因为 所以 但是 如果 虽然 当
    a an the of to in at on for with from by and or but is are was were be been my your his her our their
    its this that very more most no not I we they he she can will would should could
""")
"""Words that belong to the word after them, so that there is no pause after them."""
_OPENS: Final = listed("""
    因为 所以 但是 不过 而且 如果 虽然 然后 或者 以及 还有 当 有 还 却 而 但 只要 只有 无论 由于 并 并且 以便
    可以 需要 应该 必须 就是 是 会 能 要 在 把 让 跟 和 与 从 对 来 去 也 都 就 才 被
    我 你 您 他 她 它 我们 你们 他们 它们 这 那 这个 那个 例如 比如 包括 特别 尤其 通常 首先 其次 最后
""")
"""Words before which a pause is natural."""
_SUBJECTS: Final = listed("我 你 您 他 她 它 我们 你们 他们 她们 它们 大家 这 那")
"""Subjects, which should not be separated from their verb."""


@cache
def _jieba() -> Any:
    import jieba  # type: ignore[import-untyped]  # loads slowly

    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    return jieba


def preload() -> None:
    """Load all word and script dictionaries (1 to 2 s); call it in a thread before the first turn."""
    script.preload()
    _jieba()


def boundaries(text: str, atoms: list[TextSegment]) -> Iterator[tuple[int, float]]:
    """Find the boundaries between two words of ``text`` and rate how natural a pause is there.

    Args:
        text: The text that ``atoms`` were scanned from.
        atoms: All of its segments. There is no boundary within or after undecided ones, nor after the last
            word, which may be incomplete.

    Yields:
        Index into ``text`` and a score: 0 is neutral, above is better.
    """
    words = list(_words(text, atoms))
    for (word, end), (following, _) in pairwise(words):
        yield end, _naturalness(word, following)


def _words(text: str, atoms: list[TextSegment]) -> Iterator[tuple[str, int]]:
    """Yield the words (Han in Simplified) and their ends, which include trailing punctuation and spaces."""
    pending: tuple[str, int] | None = None
    for kind, group in groupby(atoms, lambda atom: atom.kind):
        run = list(group)
        if kind in (Kind.HAN, Kind.WORD, Kind.UNDECIDED, Kind.OPEN):
            if pending:
                yield pending
            pending = None
        if kind is Kind.HAN:
            end = run[0].end - 1
            pieces = _jieba().lcut(simplified_characters(text[end : run[-1].end]))
            for piece in pieces[:-1]:
                end += len(piece)
                yield piece, end
            pending = pieces[-1], run[-1].end
        elif kind is Kind.WORD:
            for atom in run[:-1]:
                yield atom.text, atom.end
            pending = run[-1].text, run[-1].end
        elif kind in (Kind.OPEN, Kind.UNDECIDED):
            pending = "", run[-1].end
        elif pending:
            pending = pending[0], run[-1].end
    if pending:
        yield pending


def _naturalness(word: str, following: str) -> float:
    if not word or not following:
        return -4.0
    score = 0.0
    if word in _CLINGS_ON or word[-1].isdigit():
        score -= 2.0
    if following in _CLINGS_BACK or (following[0].isdigit() and word.isascii()):
        score -= 3.0
    elif word in _SUBJECTS:
        score -= 0.5
    elif following in _OPENS:
        score += 1.0
    return score
