"""English to phonemes, from misaki's dictionaries alone.

misaki's own English front end needs spaCy and a tagger, for the few words whose sound depends on their
part of speech; here its two word lists (US English, some 180,000 words) are looked up directly, and
missing words are split, spelled or derived by letter-to-sound rules. The symbols are those Kokoro was
trained on.
"""

import json
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Final

from num2words import num2words  # type: ignore[import-untyped]

from kuaimei.engines.tts.kokoro.letter_to_sound import VOWELS, letters_to_phonemes

__all__ = ["English"]

_TOKENS: Final = re.compile(
    r"(?P<short>\b(?:e\.g\.|i\.e\.|etc\.|Mr\.|Mrs\.|Ms\.|Dr\.|vs\.?|[Ww]i-?[Ff]i\b))"
    r"|(?P<number>\d[\d,]*(?:\.\d+)?)"
    r"|(?P<initials>\b(?:[A-Z](?: [A-Z])+\b|(?:[A-Za-z]\.){2,}))"
    r"|(?P<word>[A-Za-z]+(?:['’][A-Za-z]+)*)"
    r"|(?P<sign>[%&+@=/])"
    r"|(?P<mark>[;:,.!?—…\"()“”]+)"
)
_SIGNS: Final = {"%": "percent", "&": "and", "+": "plus", "@": "at", "=": "equals", "/": "slash"}
_SHORT: Final = {
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "mr.": "mister",
    "mrs.": "missus",
    "ms.": "miss",
    "dr.": "doctor",
    "vs": "versus",
    "vs.": "versus",
    "wi-fi": "wifi",
}
_PARTS: Final = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|[A-Z]")
_CLOSED: Final = {"a": "ɐ", "an": "ɐn", "and": "ænd", "in": "ɪn", "i": "ˌI"}
_VOICELESS: Final = frozenset("fkpstθʃʧ")
_TERMS: Final = {
    # Product and place names that the dictionaries lack or the rules would get wrong.
    "wifi": "wˈIfˌI",
    "linux": "lˈɪnəks",
    "ubuntu": "ʊbˈuntu",
    "json": "ʤˈAsᵊn",
    "postgresql": "pˈOstɡɹɛs kjˌuˈɛl",
    "kubectl": "kjˈubkəntɹˌOl",
    "pytorch": "pˈItˌɔɹʧ",
    "openvino": "ˌOpᵊnvˈinO",
    "kokoro": "kˌOkəɹˈO",
    "xiaomi": "ʃˌWmˈi",
    "ok": "ˌOkˈA",
    "okay": "ˌOkˈA",
    "sql": "ˌɛskjˌuˈɛl",
    "github": "ɡˈɪthˌʌb",
    "openai": "ˌOpᵊnˌAˈI",
    "chatgpt": "ʧˌætʤˌipˌitˈi",
    "kubernetes": "kˌubəɹnˈɛtiz",
    "nginx": "ˈɛnʤənˌɛks",
    "nvidia": "ɛnvˈɪdiə",
    "asus": "ˈAsus",
    "acer": "ˈAsəɹ",
    "tsmc": "tˌiˌɛsˌɛmsˈi",
    "ios": "ˌIˌOˈɛs",
    "pizza": "pˈitsə",
    "taipei": "tˌIpˈA",
    "taiwan": "tˌIwˈɑn",
    "kaohsiung": "kˌWʃjˈʊŋ",
    "kuaimei": "kwˌImˈA",
    "qwen": "kwˈɛn",
    "uber": "ˈubəɹ",
    "spotify": "spˈɑɾəfˌI",
    "instagram": "ˈɪnstəɡɹˌæm",
    "tiktok": "tˈɪktˌɑk",
    "netflix": "nˈɛtflˌɪks",
    "android": "ˈændɹˌYd",
    "bluetooth": "blˈutˌuθ",
    "podcast": "pˈɑdkˌæst",
    "selfie": "sˈɛlfi",
    "emoji": "ɪmˈOʤi",
    "vlog": "vlˈɑɡ",
    "covid": "kˈOvɪd",
}


class English:
    """Converts English text, its numbers written out, to Kokoro's phonemes; loading takes about 0.3 s."""

    def __init__(self) -> None:
        data = files("misaki") / "data"
        self._gold: Mapping[str, str | dict[str, str | None]] = json.loads(
            (data / "us_gold.json").read_text(encoding="utf-8")
        )
        self._silver: Mapping[str, str] = json.loads((data / "us_silver.json").read_text(encoding="utf-8"))

    def __call__(self, text: str) -> str:
        """Return ``text`` in phonemes, words separated by spaces, punctuation kept in place."""
        said: list[str] = []
        follows: list[Callable[[str], str]] = []  # the sounds of each word as a function of what follows it
        tight: list[bool] = []
        for match in _TOKENS.finditer(text):
            kind, token = match.lastgroup, match.group()
            if kind == "mark":
                follows.append(_always(token))
                tight.append(token[0] not in '("“')
                continue
            for word in self._words(kind or "", token):
                follows.append(self._in_context(word))
                tight.append(False)
        following = ""
        for say in reversed(follows):
            following = say(following)
            said.append(following)
        said.reverse()
        joined = ""
        for sounds, closes in zip(said, tight, strict=True):
            if joined and not closes and joined[-1] not in '("“':
                joined += " "
            joined += sounds
        return joined

    def to_phonemes(self, letters: str) -> str:
        """Spell ``letters`` out one by one, the last one stressed."""
        names = [name for letter in letters if isinstance(name := self._gold.get(letter.upper()), str)]
        weak = [name.replace("ˈ", "ˌ") for name in names[:-1]]
        return "".join([*weak, *names[-1:]])

    def word(self, word: str) -> str:
        """Return the phonemes of one word, by dictionary, splitting, rules or spelling."""
        word = word.replace("’", "'")
        known = self._known(word)
        if known is None and "'" in word:
            stem, _, tail = word.partition("'")
            known = self._plural(self.word(stem)) if tail == "s" else f"{self.word(stem)} {self.word(tail)}"
        if known is None and not word.islower() and not word.istitle():
            parts = _PARTS.findall(word)
            known = " ".join(self.word(part) for part in parts) if len(parts) > 1 else None
        if known is None:
            known = self._compound(word.lower()) or letters_to_phonemes(word)
        return known if known is not None else self.to_phonemes(word)

    def _words(self, kind: str, token: str) -> list[str]:
        if kind == "word":
            return [token]
        if kind == "sign":
            return [_SIGNS[token]]
        if kind == "short":
            return _SHORT.get(token.lower(), token).split()
        if kind == "initials":
            return [re.sub(r"[. ]", "", token).upper()]
        return re.findall(r"[a-z]+", _number_words(token))

    def _in_context(self, word: str) -> Callable[[str], str]:
        lower = word.lower()
        if lower == "the":
            return lambda following: "ði" if _begins_with_vowel(following) else "ðə"
        if lower == "to":
            return lambda following: "tʊ" if _begins_with_vowel(following) else "tə" if following else "tˈu"
        if lower in _CLOSED and (word == "I" or not word.isupper()):
            weak, strong = _CLOSED[lower], self.word(word)
            return lambda following: weak if following[:1].isalpha() or following[:1] in "ˈˌ" else strong
        return _always(self.word(word))

    def _known(self, word: str) -> str | None:
        lower = word.lower()
        if lower in _TERMS:
            return _TERMS[lower]
        if len(word) == 1:
            return self.to_phonemes(word)
        exact = self._entry(word)
        if exact is not None:
            return exact
        if word.isupper() and (len(word) <= 3 or self._entry(lower) is None):
            # GPU, IT, US; but NASA. Longer unknown capitals are words in upper case if they have vowels.
            shouted = len(word) > 5 and re.search(r"[AEIOUY]", word)
            return None if shouted else self.to_phonemes(word)
        return (
            self._entry(lower)
            or self._entry(lower.capitalize())
            or self._entry(lower.upper())
            or self._inflected(lower)
        )

    def _entry(self, word: str) -> str | None:
        found = self._gold.get(word) or self._silver.get(word)
        return found.get("DEFAULT") if isinstance(found, dict) else found

    def _inflected(self, word: str) -> str | None:
        for ending, say in (("s", self._plural), ("ed", self._past), ("ing", self._progressive)):
            if not word.endswith(ending) or word.endswith("ss"):
                continue
            stem = word[: -len(ending)]
            stems = [stem]
            if ending != "s":
                stems.append(stem + "e")
            elif stem.endswith("e"):
                stems.append(stem[:-1])
            if ending == "s" and stem.endswith("ie"):
                stems.append(stem[:-2] + "y")
            if ending == "ed" and stem.endswith("i"):
                stems.append(stem[:-1] + "y")
            if len(stem) > 2 and stem[-1] == stem[-2]:
                stems.append(stem[:-1])
            for candidate in stems:
                said = self._entry(candidate) if len(candidate) > 1 else None
                if said:
                    return say(said)
        return None

    def _compound(self, word: str) -> str | None:
        """Return the phonemes of two known words written as one (smart·watch), or None."""
        splits = (
            (first, second)
            for at in range(len(word) - 3, 2, -1)
            if (first := self._entry(word[:at])) and (second := self._entry(word[at:]))
        )
        for first, second in splits:
            return first + second.replace("ˈ", "ˌ")
        return None

    @staticmethod
    def _plural(said: str) -> str:
        if said[-1:] in "szʃʒʧʤ":
            return said + "ᵻz"
        return said + ("s" if said[-1:] in _VOICELESS else "z")

    @staticmethod
    def _past(said: str) -> str:
        if said[-1:] in "td":
            return said + "ᵻd"
        return said + ("t" if said[-1:] in _VOICELESS else "d")

    @staticmethod
    def _progressive(said: str) -> str:
        return said + "ɪŋ"


def _always(sounds: str) -> Callable[[str], str]:
    return lambda following: sounds


def _begins_with_vowel(sounds: str) -> bool:
    return sounds.lstrip("ˈˌ")[:1] in VOWELS if sounds else False


def _number_words(number: str) -> str:
    """Return a number (digits, commas, one point) in words."""
    whole, _, fraction = number.replace(",", "").partition(".")
    if len(whole) > 15:
        return " ".join(num2words(int(digit)) for digit in whole + fraction)
    told: str = num2words(int(whole))
    return f"{told} point {' '.join(num2words(int(digit)) for digit in fraction)}" if fraction else told
