"""Syllable count of a text as it is read aloud."""

import re
from typing import Final, Literal

from kuaimei.text.characters import is_han
from kuaimei.text.normalization import normalize_text

__all__ = ["count_syllables", "word_syllables"]

_WORD: Final = re.compile(r"[a-z]+(?:['’][a-z]+)*")
_VOWELS: Final = re.compile(r"[aeiouy]+")
_ENDINGS: Final = "ly|ment|ments|ful|fully|less|lessly|ness|nesses|ty|hood|man|men|ship|time|work|thing|body"
_SYLLABIC: Final = r"(?<!(?<![aeiouylr])l)"
"""Lookbehind that excludes a consonant and l: little, settled and apples keep their last vowel."""
_SILENT: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<![aeiouy]){_SYLLABIC}e$",  # time
        r"(?<![aeiouysxzcg])e(?=['’]s$)",  # nature's, but horse's
        rf"(?<![aeiouysxzcg])(?<!ch)(?<!sh){_SYLLABIC}es$",  # times, but boxes, pages
        rf"(?<![aeiouytd])(?<![bcdfgkpt]r){_SYLLABIC}ed$",  # played, but wanted, hundred
        r"(?:(?<=q)|(?<=[aeo]g)|(?<=ng))ues?$",  # unique, league
        rf"(?<![aeiouy]){_SYLLABIC}e(?=(?:{_ENDINGS})$)",  # nicely
        r"^(?:some|where|there|here|home|life|love|fire|base|fore|house|horse|space|safe|trade|store|whole"
        r"|waste|white|wide|wave|side|time|name|note|code|face|shape|type|stone|smoke)(?=[^aeiourlsdn])",
    )
)
_HIATUS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![ctsgxaeouq])(?<!ll)i(?=[aou]|et|enc|ent)|(?<=^sc)i",  # media, quiet, but special, nation
        r"(?<=qu)i(?=et)",
        r"(?<=[a-z]{2}[^aeiouq])i(?=er$|ers$|est$)",  # earlier, happiest
        r"(?<=[aeou]t)i(?=[ae]t)|(?<=ci)(?=a(?:t|l?ity))",  # negotiate, associate
        r"(?<![gq])u(?=al|ar[iy]|ous|ing|it[iy]|at|anc|ent|enc|el|ist|um)",  # usual, fluent
        r"y(?=[aeiou])(?!e[ds]?$)(?<=.y)",  # player, flying
        r"(?<=[eo])(?=ing)",  # being, going
        r"^(?:ge|ne|the|le|re)(?=o)|(?<=id)e(?=o)|(?<=ster)e(?=o)|(?<=se)(?=um)",  # geology, theory, video
        r"(?<=cr)e(?=at)(?!ature)|^re(?=act|al[a-km-z]|as[^o]|u|en|el|ex)",  # create, reality
        r"(?<=[pc])o(?=e[mtx])",  # poem
        r"(?<=[dr])e(?=as?$)",  # idea, area
        r"(?<=s)(?=ms?$)|(?<=th)(?=ms?$)",  # tourism, rhythm
        r"(?<=[dsv])n['’](?=t$)|(?<=[bcdfgkmnptvsz])['’](?=ll$)|(?<=[dt])['’](?=ve$)",  # didn't, it'll
        r"(?<=[cln])a(?=o)",  # chaos
    )
)


_KNOWN: Final = {
    "business": 2,
    "evening": 2,
    "every": 2,
    "everyone": 3,
    "everything": 3,
    "interesting": 3,
    "maybe": 2,
    "our": 1,
    "recipe": 3,
    "w": 3,
}
"""Common words that do not follow the rules."""


def count_syllables(text: str, language: str | None = None) -> int:
    """Count the syllables of ``text`` as it is read aloud.

    The text is normalized first (`normalize_text`: 「3.5 公里」 is 三點五公里). A Chinese character is one
    syllable, English words count by `word_syllables`; spelled letters count one each, W three.

    Args:
        text: A transcript in Chinese, English or both.
        language: Language of the numbers, ``zh`` or ``en``; None or another: the language of the text.
    """
    numbers: Literal["zh", "en"] | None = "en" if language == "en" else "zh" if language == "zh" else None
    spoken = normalize_text(text, language=numbers)
    characters = sum(map(is_han, spoken))
    return characters + sum(map(word_syllables, _WORD.findall(spoken.lower())))


def word_syllables(word: str) -> int:
    """Count the syllables of one English word in lower case.

    One for each group of vowels, minus silent vowels, plus one for each pair of adjacent vowels pronounced
    separately.
    """
    if word in _KNOWN:
        return _KNOWN[word]
    silent = {match.end() for pattern in _SILENT if (match := pattern.search(word))}
    apart = sum(len(pattern.findall(word)) for pattern in _HIATUS)
    return max(1, len(_VOWELS.findall(word)) - len(silent) + apart)
