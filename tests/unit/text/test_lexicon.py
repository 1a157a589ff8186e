from pathlib import Path

import pytest

from kuaimei.errors import SettingsError
from kuaimei.text.lexicon import Lexicon, load_lexicon, phrases_for_pypinyin, shipped_lexicon
from kuaimei.text.normalization import normalize_text


def written(folder: Path, text: str) -> Path:
    path = folder / "lexicon.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_there_are_the_shipped_readings(tmp_path: Path) -> None:
    assert load_lexicon(None) is shipped_lexicon()
    assert load_lexicon(tmp_path / "missing.toml") is shipped_lexicon()
    assert shipped_lexicon().pinyin["垃圾"] == ("le4", "se4")
    assert shipped_lexicon().characters["期"] == ("qi1", "qi2")


def test_own_entries_come_over_the_shipped_ones(tmp_path: Path) -> None:
    path = written(
        tmp_path, '[pinyin]\n"垃圾" = "la1 ji1"\n"女兒" = "nv3 er2"\n[replacements]\nkuaimei = "快美"\n'
    )
    lexicon = load_lexicon(path)
    assert lexicon.pinyin["垃圾"] == ("la1", "ji1")
    assert lexicon.pinyin["女兒"] == ("nü3", "er2")
    assert lexicon.pinyin["和"] == ("han4",)
    assert normalize_text("用kuaimei說話，不用kuaimei2。", lexicon) == "用快美說話，不用kuaimei 二。"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[pinyin]\n"垃圾" = "le4"\n', "line 2: 垃圾 has 2 characters but 1 syllables"),
        ('[pinyin]\n\n"垃圾" = "le4 se6"\n', "line 3: 'se6' is not a pinyin syllable"),
        ('[pinyin]\n"垃圾" = 3\n', "line 2: the reading of 垃圾 must be a string"),
        ("[replacements]\nA = 1\n", "line 2: the replacement of 'A' must be a string"),
        ('[characters]\n"期" = "qi2"\n', r"line 2: an entry in \[characters\] must look like"),
        ('[words]\na = "b"\n', "line 1: unknown table 'words'"),
        ('[pinyin]\n垃圾 = "le4 se4"\n', "line 2"),
        ("x = 1\n", "line 1: unknown table 'x'"),
    ],
)
def test_a_bad_entry_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_lexicon(written(tmp_path, text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read as UTF-8"):
        load_lexicon(path)


def test_replacements_take_the_longest_and_do_not_chain() -> None:
    lexicon = Lexicon(replacements={"A": "B", "AB": "C", "B": "D", "台科大": "臺灣科技大學"})
    assert lexicon.replace("A AB B 台科大") == "B C D 臺灣科技大學"


def test_phrases_are_simplified_with_tone_marks() -> None:
    phrases = phrases_for_pypinyin(Lexicon(pinyin={"說服": ("shui4", "fu2"), "似的": ("si4", "de5")}))
    assert phrases == {"说服": [["shuì"], ["fú"]], "似的": [["sì"], ["de"]]}


def test_a_character_changes_all_known_words_in_its_mainland_reading_only() -> None:
    phrases = phrases_for_pypinyin(Lexicon(characters={"識": ("shi2", "shi4")}))
    assert phrases["一丁不识"][3] == ["shì"]
    assert all("识" in phrase for phrase in phrases)
