"""Fillers: sounds and words with which speakers hold their turn while they think."""

import re
from typing import Final

__all__ = ["find_fillers"]

_STARTS: Final = r"(?:^|(?<=[\s嗯呃，,。.！!？?；;：:…—「『“\"（(]))"
"""Beginning of a clause, or the position after a filler sound."""
_BREAKS: Final = r"\s*(?:[，,…—]|\.{2,})"
"""Marks after which a word counts as hesitation; enumerations (、) and answers (。) do not."""
_THAT: Final = "那個|那个|這個|这个"
_HESITATES: Final = "嗯|呃|就是|請問|请问|不好意思|我|你|您"

_FILLER: Final = re.compile(
    "|".join(
        (
            r"嗯+(?!哼)|呃+",
            # Said twice; the last one may carry meaning: 那個那個人.
            rf"(?P<twice>{_THAT}|就是|然後|然后)(?=[，,…\s]*(?P=twice))",
            rf"{_STARTS}(?:那個|那个)(?={_BREAKS})",
            # 那個我想請問, but 那個我喜歡的人
            rf"{_STARTS}(?:那個|那个)(?=\s*(?:{_HESITATES})[^，。！？,.!?\s]*(?:[，。！？,.!?\s]|$))(?![^，。！？,.!?]*的)",
            rf"(?:{_THAT})(?=\s*(?:…|\.{{3}}))",
            rf"{_STARTS}就是[說说](?![謊谎話话明服不過过出的了])",
            rf"(?<![也這这那])就是[說说](?={_BREAKS})",
            rf"{_STARTS}怎[麼么][說说]呢?(?={_BREAKS})",
            r"(?<![\w'’-])(?:[Uu]h+|[Uu]m+|[Ee]r+m*|[Hh]m+|[Mm]mm+)(?![\w'’])(?![-\s](?:huh|oh|uh|hmm|hm)\b)",
            rf"(?:(?<=^)|(?<=[,.!?;…—])|(?<=[,.!?;…—]\s))(?:[Yy]ou know|I mean)(?={_BREAKS})",
            r"(?<=,\s)you know(?=\s*[.?!]|$)",
            r"(?<=,\s)like(?=,)",
        )
    )
)
_ONLY: Final = re.compile(r"[\s\W]*(?:嗯+|[Hh]m+)[\s\W]*")


def find_fillers(text: str) -> tuple[str, ...]:
    """Return the fillers in ``text``, as written and in order.

    Sounds (嗯、呃、uh、um) count everywhere, except as a whole answer (「嗯。」, uh-huh). Words count only if
    unambiguous: 那個 at the beginning of a clause and set off by punctuation, or said twice, but not in
    那個人; 就是說 likewise; "you know" and "I mean" between commas. Without punctuation, fewer are found.
    """
    if _ONLY.fullmatch(text):
        return ()
    return tuple(match.group() for match in _FILLER.finditer(text))
