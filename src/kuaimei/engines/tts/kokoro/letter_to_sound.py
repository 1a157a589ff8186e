"""Letter-to-sound rules for English words that are in no dictionary.

A small ordered set in the manner of Elovitz et al., "Automatic Translation of English Text to Phonetics
by Means of Letter-to-Sound Rules" (NRL Report 7948, 1976); for names of products and people, where
listeners tolerate approximations. Symbols are misaki's (A = eɪ, I = aɪ, O = oʊ, W = aʊ, Y = ɔɪ).
"""

import re
from typing import Final

__all__ = ["letters_to_phonemes"]

VOWELS: Final = frozenset("AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ")

_RULES: Final = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        # Several letters, one sound; the longest first.
        (r"tious", "ʃəs"),
        (r"cious", "ʃəs"),
        (r"ation", "AʃᵊN"),
        (r"[ts]ion", "ʃᵊN"),
        (r"eigh", "A"),
        (r"augh", "ɔ"),
        (r"ough", "ɔ"),
        (r"ture$", "ʧəɹ"),
        (r"igh", "I"),
        (r"tch", "ʧ"),
        (r"dge", "ʤ"),
        (r"sch", "sk"),
        (r"^kn", "n"),
        (r"^wr", "ɹ"),
        (r"^ps", "s"),
        (r"^zh", "ʤ"),
        (r"^xi(?=[aeou])", "ʃ"),
        (r"^x(?=[iu])", "ʃ"),
        (r"^x", "z"),
        (r"^y(?=[aeiou])", "j"),
        (r"^mc", "mək"),
        (r"ch", "ʧ"),
        (r"sh", "ʃ"),
        (r"th", "θ"),
        (r"ph", "f"),
        (r"wh", "w"),
        (r"gh", "ɡ"),
        (r"ck", "k"),
        (r"cc(?=[eiy])", "ks"),
        (r"qu", "kw"),
        (r"ng$", "ŋ"),
        (r"ng(?=[kszl])", "ŋ"),
        (r"n(?=[kxq])", "ŋ"),
        (r"le$", "ᵊl"),
        (r"ism$", "ˌɪzᵊm"),
        (r"sm$", "zᵊm"),
        # Pairs of vowels and vowels before r.
        (r"air", "ɛɹ"),
        (r"eer|ear|ier", "ɪɹ"),
        (r"oor|our|oar", "ɔɹ"),
        (r"ee|ea|ie(?=.)", "i"),
        (r"oo", "u"),
        (r"ou", "W"),
        (r"ow$", "O"),
        (r"ow", "W"),
        (r"oi|oy", "Y"),
        (r"ai|ay|ei|ey(?=.)", "A"),
        (r"ey$", "i"),
        (r"au|aw", "ɔ"),
        (r"oa|oe$", "O"),
        (r"eu|ew", "ju"),
        (r"ue$|ui", "u"),
        (r"ia$", "iə"),
        (r"io$", "iO"),
        (r"ers?$", "əɹ"),
        (r"or$", "əɹ"),
        (r"ar", "ɑɹ"),
        (r"or", "ɔɹ"),
        (r"[eiu]r(?![aeiou])", "ɜɹ"),
        # A vowel, one consonant, and a silent e.
        (r"a(?=[bcdfgklmnpstvz]e$)", "A"),
        (r"i(?=[bcdfgklmnpstvz]e$)", "I"),
        (r"o(?=[bcdfgklmnpstvz]e$)", "O"),
        (r"u(?=[bcdfgklmnpstvz]e$)", "u"),
        (r"e(?=[bcdfgklmnpstvz]e$)", "i"),
        # One letter at the end of a word.
        (r"(?<=.)es$", "z"),
        (r"(?<=[aeiouy].)e$|(?<=[^aeiou][^aeiou])e$", ""),
        (r"a$", "ə"),
        (r"i$", "i"),
        (r"o$", "O"),
        (r"u$", "u"),
        (r"e$", "i"),
        (r"(?<=.)y$", "i"),
        # Consonants.
        (r"c(?=[eiy])", "s"),
        (r"g(?=[eiy])", "ʤ"),
        (r"(?<=[aeiou])s(?=[aeiou])", "z"),
        (r"(.)(?=\1)", ""),
        (r"x", "ks"),
        (r"a", "æ"),
        (r"e", "ɛ"),
        (r"i", "ɪ"),
        (r"o", "ɑ"),
        (r"u", "ʌ"),
        (r"y", "ɪ"),
        (r"c|q", "k"),
        (r"j", "ʤ"),
        (r"r", "ɹ"),
        (r"g", "ɡ"),
    )
)


def letters_to_phonemes(word: str) -> str | None:
    """Return the phonemes of ``word`` (latin letters), first vowel stressed; None without a vowel letter."""
    word = word.lower()
    if not re.search(r"[aeiouy]", word):
        return None
    sounds: list[str] = []
    at = 0
    while at < len(word):
        for pattern, sound in _RULES:
            match = pattern.match(word, at)
            if match and match.end() > at:
                sounds.append(sound)
                at = match.end()
                break
        else:
            sounds.append(word[at])  # b d f h k l m n p s t v w z are their own symbols
            at += 1
    said = "".join(sounds).replace("N", "n")
    first = next((i for i, sound in enumerate(said) if sound in VOWELS), None)
    return None if first is None else f"{said[:first]}ˈ{said[first:]}"
