import json
from pathlib import Path

import numpy as np
import pytest

from kuaimei.engines.tts.kokoro.assets import Tokenizer, Voices, load_alphabet, load_voices
from kuaimei.errors import WeightsError

ALPHABET = Tokenizer({"a": 5, "b": 6, " ": 16, ",": 3}, frozenset({16, 3}))


def test_unknown_phonemes_are_left_out() -> None:
    assert ALPHABET.tokens("a#b,") == (5, 6, 3)


def test_long_texts_are_cut_after_marks() -> None:
    tokens = ALPHABET.tokens("aaa bbb,aab")
    assert list(ALPHABET.pieces(tokens, longest=9)) == [tokens[:8], tokens[8:]]
    assert list(ALPHABET.pieces((5,) * 20, longest=9)) == [(5,) * 9, (5,) * 9, (5,) * 2]
    assert not list(ALPHABET.pieces(()))


def test_the_alphabet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"vocab": {"$": 0, "a": 5, ",": 3}}}), encoding="utf-8")
    alphabet = load_alphabet(tmp_path)
    assert alphabet.tokens("$a,") == (5, 3)
    assert alphabet.marks == {3}


@pytest.mark.parametrize("content", [None, "", "[]", '{"model": 3}'])
def test_a_wrong_alphabet_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(WeightsError, match="models pull kokoro"):
        load_alphabet(tmp_path)


def make_voice(folder: Path, name: str, rows: int = 510) -> None:
    (folder / "voices").mkdir(exist_ok=True)
    table = np.arange(rows, dtype="<f4").repeat(256)
    table.tofile(folder / "voices" / f"{name}.bin")


def test_a_taiwanese_listener_gets_a_mandarin_voice_first(tmp_path: Path) -> None:
    for name in ("af_heart", "zm_yunxi", "zf_xiaoxiao", "zf_xiaobei", "jf_alpha", "bm_george"):
        make_voice(tmp_path, name)
    assert load_voices(tmp_path).names == (
        "zf_xiaoxiao",
        "zf_xiaobei",
        "zm_yunxi",
        "af_heart",
        "bm_george",
        "jf_alpha",
    )


@pytest.mark.parametrize(("phonemes", "row"), [(1, 0), (0, 0), (30, 29), (510, 509), (9000, 509)])
def test_the_style_follows_the_length(tmp_path: Path, phonemes: int, row: int) -> None:
    make_voice(tmp_path, "zf_xiaobei")
    style = load_voices(tmp_path).style("zf_xiaobei", phonemes)
    assert style.shape == (1, 256)
    assert style[0, 0] == row


def test_missing_and_damaged_voices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no voices"):
        load_voices(tmp_path)
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "zf_torn.bin").write_bytes(b"1234" * 255)
    with pytest.raises(WeightsError, match="zf_torn"):
        load_voices(tmp_path)


def test_a_voice_is_added_replaced_and_taken_away(tmp_path: Path) -> None:
    make_voice(tmp_path, "zf_xiaobei")
    stock = load_voices(tmp_path)
    one = stock.with_voice("voice_a", np.full(256, 3.0, np.float32))
    assert (one.names, stock.names) == (("zf_xiaobei", "voice_a"), ("zf_xiaobei",))
    assert one.style("voice_a", 40).tolist() == [[2.5] * 256]
    table = np.arange(510, dtype=np.float32).repeat(256).reshape(510, 256)
    assert one.with_voice("voice_a", table).style("voice_a", 30)[0, 0] == 29
    assert one.without("voice_a").names == ("zf_xiaobei",)


@pytest.mark.parametrize("style", [np.zeros(128), np.zeros((0, 256)), np.zeros((2, 2, 256)), np.array(1.0)])
def test_a_style_of_another_shape_is_refused(tmp_path: Path, style: np.ndarray) -> None:
    make_voice(tmp_path, "zf_xiaobei")
    with pytest.raises(ValueError, match="256 finite numbers"):
        load_voices(tmp_path).with_voice("voice_a", style.astype(np.float32))


def test_a_style_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    make_voice(tmp_path, "zf_xiaobei")
    with pytest.raises(ValueError, match="finite"):
        load_voices(tmp_path).with_voice("voice_a", np.full(256, np.nan, np.float32))


def test_a_learned_style_changes_with_length_as_the_voice_does_whose_prosody_is_nearest() -> None:
    length = np.arange(510, dtype=np.float32)[:, None]
    tables = {"zf_one": np.full((510, 256), 1.0, np.float32), "zf_two": np.full((510, 256), 5.0, np.float32)}
    tables["zf_two"] = tables["zf_two"] + (length - 39.5) / 100.0
    voices = Voices(tables)
    style = np.full(256, 4.0, np.float32)
    style[:128] = 1.0  # it sounds like the other, which tells nothing of how it speaks
    learned = voices.with_voice("voice_a", style)
    np.testing.assert_allclose(learned.style("voice_a", 40)[0], style, atol=0.01)
    np.testing.assert_allclose(learned.style("voice_a", 140)[0], style + 1.0, atol=0.01)
    np.testing.assert_allclose(learned.style("voice_a", 2)[0], style - 0.385, atol=0.01)
    table = np.zeros((3, 256), np.float32)
    np.testing.assert_array_equal(voices.with_voice("voice_b", table).style("voice_b", 400)[0], table[-1])


def test_a_learned_style_does_not_change_as_another_learned_one() -> None:
    flat = Voices({"zf_one": np.zeros((510, 256), np.float32)})
    steep = np.arange(510, dtype=np.float32).repeat(256).reshape(510, 256)
    style = np.full(256, 39.0, np.float32)  # as the steep one usually is
    learned = flat.with_voice("voice_a", steep).with_voice("voice_b", style).with_voice("voice_b", style)
    np.testing.assert_array_equal(learned.style("voice_b", 300)[0], style)
