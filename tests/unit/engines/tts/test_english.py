import pytest

from kuaimei.engines.tts.kokoro.g2p_en import English
from kuaimei.engines.tts.kokoro.letter_to_sound import letters_to_phonemes


@pytest.fixture(scope="module")
def english() -> English:
    return English()


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Hello, world!", "həlˈO, wˈɜɹld!"),
        ("The apple is on the table.", "ði ˈæpᵊl ɪz ˌɔn ðə tˈAbᵊl."),
        ("to eat, to go", "tʊ ˈit, tə ɡˌO"),
        ("I have a cat", "ˌI hæv ɐ kˈæt"),
        ("GitHub", "ɡˈɪthˌʌb"),
        ("YouTube", "jˈutˌub"),
        ("Python code", "pˈIθˌɑn kˈOd"),
        ("GPU", "ʤˌipˌijˈu"),
        ("G P U", "ʤˌipˌijˈu"),
        ("U.S.A.", "jˌuˌɛsˈA"),
        ("USB", "jˌuˌɛsbˈi"),
        ("NASA", "nˈæsə"),
        ("Wi-Fi, e.g. Dr. Lee", "wˈIfˌI, fɔɹ ɪɡzˈæmpəl dˈɑktəɹ lˈi"),
        ("don't, Tom's", "dˈOnt, tˈɑmz"),
        ("smartwatch", "smˈɑɹtwɑʧ"),
        ("dogpark", "dˈɔɡpˌɑɹk"),
        ("(yes)", "(jˈɛs)"),
        ("50 %", "fˈɪfti pəɹsˈɛnt"),
        ("", ""),
        ("日本 ㄅ", ""),
    ],
)
def test_english_is_looked_up(english: English, text: str, phonemes: str) -> None:
    assert english(text) == phonemes


@pytest.mark.parametrize("word", ["googled", "vlogging", "emojis", "blorfing", "Xinyi", "kubectl", "rhythms"])
def test_every_word_is_said_somehow(english: English, word: str) -> None:
    assert english(word)


@pytest.mark.parametrize(
    ("word", "phonemes"),
    [
        ("blake", "blˈAk"),
        ("zhong", "ʤˈɑŋ"),
        ("nation", "nˈAʃᵊn"),
        ("philip", "fˈɪlɪp"),
        ("knight", "nˈIt"),
        ("hmm", None),
    ],
)
def test_unknown_words_are_sounded_out(word: str, phonemes: str | None) -> None:
    assert letters_to_phonemes(word) == phonemes
