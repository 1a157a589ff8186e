"""Every story has a scenario, every scenario a story, and the guide says so truly."""

import importlib
import re

import pytest

from scripts import traceability
from scripts.traceability import FEATURES, GUIDE, STORIES, faults, render, scenarios, stories


def test_stories_and_scenarios_fit_together() -> None:
    assert faults() == []


def test_the_table_in_the_guide_is_true() -> None:
    assert GUIDE.read_text(encoding="utf-8") == render(), "run `python -m scripts.traceability`"


def test_every_row_of_a_story_is_read() -> None:
    rows = re.findall(r"^\| (US-\d{3}) ", STORIES.read_text(encoding="utf-8"), re.M)
    assert [story.id for story in stories()] == rows
    assert len(rows) > 50


def test_every_scenario_is_run_by_the_module_it_names() -> None:
    for path in sorted(FEATURES.glob("*.feature")):
        module = path.with_name(f"test_{path.stem}.py").read_text(encoding="utf-8")
        assert f'scenarios("{path.name}")' in module
    assert sum(not one.planned for one in scenarios()) >= 35


def test_every_test_that_the_table_names_is_there() -> None:
    for path in sorted(FEATURES.glob("*.feature")):
        module = importlib.import_module(f"tests.features.test_{path.stem}")
        wanted = {one.test for one in scenarios() if one.feature == path.name}
        assert wanted == {name for name in vars(module) if name.startswith("test_")}


def test_the_guide_includes_every_feature_instead_of_copying_it() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for path in FEATURES.glob("*.feature"):
        assert f'--8<-- "tests/features/{path.name}"' in text
        assert f"](../tests/features/{path.name})" in text
        copied = [one.name for one in scenarios() if f"場景: {one.name}" in text and one.feature == path.name]
        assert copied == []


def test_a_story_without_scenario_and_a_scenario_without_story_are_found() -> None:
    """The check itself can fail."""
    with pytest.MonkeyPatch.context() as patch:
        found = traceability.scenarios()
        lost = [one for one in found if "US-101" not in one.stories]
        patch.setattr(traceability, "scenarios", lambda: lost)
        assert "US-101 has no scenario" in faults()
    with pytest.MonkeyPatch.context() as patch:
        known = [one for one in traceability.stories() if one.id != "US-101"]
        patch.setattr(traceability, "stories", lambda: known)
        assert [fault for fault in faults() if "unknown story US-101" in fault]
