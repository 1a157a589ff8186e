import pytest

from kuaimei.engines.tts.kokoro.g2p import Phonemes
from kuaimei.engines.tts.kokoro.g2p_en import English
from kuaimei.engines.tts.kokoro.g2p_zh import Mandarin

READINGS = {
    "研究": [["yán"], ["jiù"]],
    "和": [["hàn"]],
    "法国": [["fà"], ["guó"]],
    "垃圾": [["lè"], ["sè"]],
    "朋友": [["péng"], ["you"]],
}


@pytest.fixture(scope="module")
def mandarin() -> Mandarin:
    return Mandarin(READINGS)


@pytest.fixture(scope="module")
def phonemes(mandarin: Mandarin) -> Phonemes:
    return Phonemes(mandarin, English(), lambda text: text.replace("3", "三"))


@pytest.mark.parametrize(
    ("han", "pinyin"),
    [
        ("我和你", "wo3 han4 ni3"),
        ("和平", "he2 ping2"),
        ("研究生", "yan2 jiu4 sheng1"),
        ("司法国家", "si1 fa3 guo2 jia1"),
        ("去法国", "qu4 fa4 guo2"),
        ("倒垃圾", "dao4 le4 se4"),
        ("好朋友", "hao3 peng2 you5"),
        ("银行行长长大", "yin2 hang2 hang2 zhang3 zhang3 da4"),
        ("女孩", "nv3 hai2"),
    ],
)
def test_the_lexicon_is_stronger_where_it_fits(mandarin: Mandarin, han: str, pinyin: str) -> None:
    assert " ".join(syllable for word in mandarin.pinyin(han) for syllable in word) == pinyin


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("你好！", "ni↓xau↓!"),
        ("天氣很好，對嗎？", "tʰjɛ→nʨʰi↘ xə↓n xau↓, twei↘ ma?"),
        ("我用 Python 寫程式。", "wo↓jʊ↘ŋ pˈIθˌɑn ɕje↓ ꭧʰə↗ŋʂɨ↘."),
        ("打開App，好嗎", "ta↓kʰai→ ˈæp, xau↓ ma"),
        ("他說「好」。", "tʰa→ ʂwo→ “xau↓”."),
        ("嗯……好", "ə↗n… xau↓"),
        ("Hello, world!", "həlˈO, wˈɜɹld!"),
        ("第一課\n第二課", "ti↘i→kʰɤ↘. ti↘ɚ↘kʰɤ↘"),
        ("ＡＢＣ", "ˌAbˌisˈi"),
        ("……！？", ""),
        ("🙂", ""),
        ("", ""),
    ],
)
def test_mandarin_and_english_in_one_sentence(phonemes: Phonemes, text: str, said: str) -> None:
    assert phonemes(text) == said


def test_numbers_are_read_before_they_are_said(phonemes: Phonemes) -> None:
    assert phonemes("3天") == "sa→ntʰjɛ→n"


def test_every_character_has_a_sound_of_the_alphabet(mandarin: Mandarin) -> None:
    """None of some 21,000 characters breaks the reading, and hardly any is silent."""
    characters = [chr(code) for code in range(0x4E00, 0x9FA6)]
    silent = [char for char in characters if not mandarin(char)]
    assert len(silent) < 50
