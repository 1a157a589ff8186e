import json
from datetime import date
from pathlib import Path

import pytest

from kuaimei.analysis.head import Head, Norm, read_head, shipped_head
from kuaimei.analysis.head_store import keep_head, kept_heads, load_head, new_version, undo_head
from kuaimei.errors import NotFound, SettingsError


def head(version: str, weight: float = 1.0) -> Head:
    return Head(
        version=version,
        made=date(2026, 1, 1),
        about="a test",
        norms={"jitter": Norm(mean=0.02, sd=0.01)},
        weights={"confidence": {}, "stability": {"jitter": -weight}, "affability": {}},
        bias={"confidence": 0.0, "stability": 0.5, "affability": 0.0},
    )


def test_without_calibration_the_shipped_head_is_in_use(tmp_path: Path) -> None:
    assert load_head(tmp_path) is shipped_head()
    assert kept_heads(tmp_path) == []


def test_the_newest_is_in_use_and_comes_back_as_it_was(tmp_path: Path) -> None:
    for weight in (1.0, 2.0):
        keep_head(tmp_path, head(new_version(tmp_path), weight))
    found = load_head(tmp_path)
    assert found.weights["stability"] == {"jitter": -2.0}
    assert found == read_head(found.model_dump_json(), "itself")
    assert [one.in_use for one in kept_heads(tmp_path)] == [True, False]


def test_undoing_goes_back_step_by_step_and_loses_nothing(tmp_path: Path) -> None:
    first, second = new_version(tmp_path), ""
    keep_head(tmp_path, head(first))
    second = new_version(tmp_path)
    keep_head(tmp_path, head(second))
    taken, now = undo_head(tmp_path)
    assert (taken, now.version) == (second, first)
    taken, now = undo_head(tmp_path)
    assert (taken, now) == (first, shipped_head())
    with pytest.raises(NotFound, match="nothing to undo"):
        undo_head(tmp_path)
    assert [(one.head.version, one.undone) for one in kept_heads(tmp_path)] == [(second, True), (first, True)]


def test_a_new_version_sorts_last_even_if_the_clock_went_back(tmp_path: Path) -> None:
    keep_head(tmp_path, head("20991231T235959000000"))
    later = new_version(tmp_path)
    keep_head(tmp_path, head(later))
    assert load_head(tmp_path).version == later


def test_nothing_but_the_head_is_left_behind(tmp_path: Path) -> None:
    path = keep_head(tmp_path, head("20260101T000000000000"))
    assert list(path.parent.iterdir()) == [path]


def test_a_damaged_head_says_what_to_do_and_can_be_undone(tmp_path: Path) -> None:
    keep_head(tmp_path, head("20260101T000000000000")).write_text("{", encoding="utf-8")
    with pytest.raises(SettingsError, match="calibrate --undo"):
        load_head(tmp_path)
    _, now = undo_head(tmp_path)
    assert now == shipped_head()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"norms": {"charm": {"mean": 0, "sd": 1}}}, "no feature charm"),
        ({"norms": {"jitter": {"mean": 0, "sd": 0}}}, "sd"),
        ({"weights": {"confidence": {"rate_syl_s": 1}, "stability": {}, "affability": {}}}, "no norm"),
        ({"weights": {"confidence": {}}}, "stability"),
        ({"version": ""}, "version"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_is_no_head_is_refused(change: dict[str, object], said: str) -> None:
    text = json.dumps(head("x").model_dump(mode="json") | change)
    with pytest.raises(SettingsError, match=said):
        read_head(text, "x.json")
