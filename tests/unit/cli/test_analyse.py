"""What `kuaimei analyse` is asked for, before anything is opened."""

from pathlib import Path
from typing import Any

import pytest

from kuaimei.cli.analyse import analyse
from kuaimei.errors import KuaimeiError

HERE = Path(__file__)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "--all"),
        ({"files": [HERE], "everything": True}, "--all"),
        ({"everything": True, "meter": "praat"}, "KUAIMEI_ANALYSIS__METER"),
        ({"files": [HERE], "again": True}, "--again requires --all"),
        ({"files": [HERE, HERE], "transcript": "嗯"}, "single FILE"),
        ({"files": [HERE], "transcript": "嗯", "no_transcript": True}, "--no-transcript"),
        ({"files": [HERE, HERE.with_name("nowhere.wav")]}, "no such file: .*nowhere.wav"),
    ],
)
def test_what_does_not_go_together_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(KuaimeiError, match=said):
        analyse(**given)
