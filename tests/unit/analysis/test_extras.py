"""What is not installed by default is asked for in one sentence, and only where it is needed."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kuaimei.analysis.calibration import calibrate, load_sklearn
from kuaimei.analysis.head_store import keep_head, load_head
from kuaimei.analysis.reliability import load_pingouin
from kuaimei.analysis.scoring import raw_scores
from kuaimei.engines.prosody.types import Features
from kuaimei.errors import SettingsError
from tests.unit.analysis.simulated import HEAD, labelled


@pytest.mark.parametrize(
    ("package", "load", "extra"),
    [("sklearn", load_sklearn, "calibration"), ("pingouin", load_pingouin, "reliability")],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, package: str, load: Callable[[], object], extra: str
) -> None:
    load()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SettingsError, match=rf"pip install 'kuaimei\[{extra}\]'"):
        load()


def test_a_fitted_head_is_applied_without_what_fitted_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    samples = labelled(40)
    fitted = calibrate(samples, HEAD, HEAD, usable=frozenset({"rate_syl_s", "f0_sd_st"}), version="2026").head
    keep_head(tmp_path, fitted)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    found = raw_scores(Features(duration_s=4.0, speech_s=4.0, rate_syl_s=7.0), load_head(tmp_path))
    assert found.head == "2026"
    assert [part.feature for part in found.contributions["confidence"]] == ["rate_syl_s"]
    assert found.score.confidence < 0.5  # these listeners do not like it fast
