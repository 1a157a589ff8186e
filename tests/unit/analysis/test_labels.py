from pathlib import Path

import pytest

from kuaimei.analysis.labels import read_labels
from kuaimei.errors import SettingsError


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_ratings_of_several_raters_are_averaged(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "utterance,confidence,stability,affability,rater\n"
        "utt_1,2,5,,amy\n"
        "utt_2,4,,3,amy\n"
        "\n"
        "utt_1,3,4,,ben\n"
        "utt_3,,,,amy\n",
    )
    first, second = read_labels(path)
    assert (first.utterance, first.ratings) == ("utt_1", {"confidence": 2.5, "stability": 4.5})
    assert (second.utterance, second.ratings) == ("utt_2", {"confidence": 4.0, "affability": 3.0})


def test_as_excel_writes_it(tmp_path: Path) -> None:
    path = write(tmp_path, "Utterance;Confidence;Session\r\nutt_1;3,5;sess_1\r\n", "utf-8-sig")
    (label,) = read_labels(path)
    assert (label.ratings, label.session) == ({"confidence": 3.5}, "sess_1")


def test_files_are_looked_for_beside_the_csv(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(b"")
    (label,) = read_labels(write(tmp_path, "file,affability\nclips/a.wav,5\n"))
    assert label.file == tmp_path / "clips" / "a.wav"
    assert label.utterance == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "row 1 has neither a column utterance"),
        ("id,confidence\na,1\n", "row 1 has neither a column utterance nor a column file"),
        ("utterance,score\na,1\n", "row 1 has none of the columns confidence"),
        ("utterance,confidence,confidence\na,1,2\n", "row 1 has the column confidence twice"),
        ("utterance,confidence\na,3\nb,6\n", "row 3: confidence is '6': write a number from 1 to 5"),
        ("utterance,confidence\na,high\n", "row 2: confidence is 'high'"),
        ("utterance,confidence\na,nan\n", "row 2: confidence is 'nan'"),
        ("utterance,confidence\n,3\n", "row 2: the utterance is missing"),
        ("utterance,file,confidence\na,b.wav,3\n", "row 2: write either"),
        ("file,confidence\nnowhere.wav,3\n", "row 2: there is no file"),
        ('utterance,confidence\n"a"x,3\n', "row 2 is not valid CSV"),
    ],
)
def test_bad_files_name_the_row_and_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_labels(write(tmp_path, text))


def test_not_all_of_many_errors_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "utterance,confidence\n" + "a,9\n" * 12)
    with pytest.raises(SettingsError, match=r"row 6.*and 7 more rows"):
        read_labels(path)


def test_another_encoding_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CSV UTF-8"):
        read_labels(write(tmp_path, "utterance,confidence,rater\na,3,陳\n", "big5"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_labels(tmp_path / "none.csv")
