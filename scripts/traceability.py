"""Generate the traceability table of stories, features, scenarios and tests in the guide.

python -m scripts.traceability            # writes the table between its markers
python -m scripts.traceability --check    # status 1 if it is out of date, or a story has no scenario
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from gherkin.parser import Parser
from pytest_bdd.scenario import make_python_name

from scripts.generated import ROOT, between, write_or_check

STORIES: Final = ROOT / "docs" / "02_project_brief_and_prd.md"
GUIDE: Final = ROOT / "docs" / "03_behavior_driven_development_guide.md"
FEATURES: Final = ROOT / "tests" / "features"

STORY: Final = re.compile(r"US-\d{3}")
KINDS: Final[Mapping[str, str]] = {"happy": "正常", "sad": "失敗", "edge": "邊界"}
PLANNED: Final = "planned"
BUILT: Final = "可用"
"""State of a story with all scenarios built."""
PARTLY: Final = "部分"
COMING: Final = "計畫中"

_BEGIN: Final = "<!-- 追溯表：由 python -m scripts.traceability 產生，不要手改 -->"
_END: Final = "<!-- 追溯表結束 -->"
_ROW: Final = re.compile(r"^\| (US-\d{3}) \| (.+?) \| (.+?) \| (.+?) \| \[(\w+)\]\((.+?)\) \|$", re.M)


@dataclass(frozen=True, slots=True)
class Story:
    """One row of the requirements.

    Attributes:
        id: ``US-001`` and so on.
        wish: The user story: role, wish and reason.
        state: State given in the row.
        feature: Name of the feature file that it links to.
    """

    id: str
    wish: str
    state: str
    feature: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario of a feature.

    Attributes:
        feature: Name of the feature file.
        name: Title of the scenario.
        tags: Tags without their @, including those of the feature.
        line: Line in the file, from 1.
    """

    feature: str
    name: str
    tags: frozenset[str]
    line: int

    @property
    def stories(self) -> list[str]:
        """Ids of the stories it covers."""
        return sorted(tag for tag in self.tags if STORY.fullmatch(tag))

    @property
    def kinds(self) -> list[str]:
        """Its tags that are in `KINDS`; exactly one if it is valid."""
        return sorted(tag for tag in self.tags if tag in KINDS)

    @property
    def planned(self) -> bool:
        """True if it is not built yet."""
        return PLANNED in self.tags

    @property
    def test(self) -> str:
        """Name of the test that runs it."""
        return f"test_{make_python_name(self.name)}"

    @property
    def module(self) -> str:
        """File name of the test module."""
        return f"test_{self.feature.removesuffix('.feature')}.py"


def stories() -> list[Story]:
    """Return all stories of the requirements, in order."""
    rows = _ROW.finditer(STORIES.read_text(encoding="utf-8"))
    return [Story(row[1], row[2], row[4], f"{row[5]}.feature") for row in rows]


def scenarios() -> list[Scenario]:
    """Return all scenarios of all features, in order."""
    return [scenario for path in sorted(FEATURES.glob("*.feature")) for scenario in _read(path)]


def _read(path: Path) -> Iterator[Scenario]:
    feature = cast(dict[str, Any], Parser().parse(path.read_text(encoding="utf-8"))["feature"])
    common = _tags(feature)
    for child in feature["children"]:
        if (found := child.get("scenario")) is not None:
            tags = frozenset(common | _tags(found))
            yield Scenario(path.name, found["name"], tags, found["location"]["line"])


def _tags(node: Mapping[str, Any]) -> set[str]:
    return {tag["name"].removeprefix("@") for tag in node["tags"]}


def state_of(story: Story, found: Sequence[Scenario]) -> str:
    """Return the state of a story according to its scenarios."""
    planned = [scenario.planned for scenario in found if story.id in scenario.stories]
    return COMING if all(planned) else PARTLY if any(planned) else BUILT


def faults() -> list[str]:
    """Return all inconsistencies, one sentence each."""
    wanted, found = stories(), scenarios()
    known = {story.id: story for story in wanted}
    told = {story for scenario in found for story in scenario.stories}
    bad = [f"{one.id} has no scenario" for one in wanted if one.id not in told]
    bad += [f"{one.id} appears twice in {STORIES.name}" for one in wanted if wanted.count(one) > 1]
    names: set[tuple[str, str]] = set()
    for scenario in found:
        where = f"{scenario.feature}:{scenario.line} {scenario.name}"
        if not scenario.stories:
            bad.append(f"{where}: belongs to no story")
        bad += [f"{where}: unknown story {one}" for one in scenario.stories if one not in known]
        for one in scenario.stories:
            if one in known and known[one].feature != scenario.feature:
                bad.append(f"{where}: {one} links to {known[one].feature}")
        if len(scenario.kinds) != 1:
            bad.append(f"{where}: must have exactly one of @{', @'.join(KINDS)}")
        if (scenario.feature, scenario.test) in names:
            bad.append(f"{where}: another scenario has the same name")
        names.add((scenario.feature, scenario.test))
        if not (FEATURES / scenario.module).is_file():
            bad.append(f"{where}: {scenario.module} does not run it")
    for story in wanted:
        if story.state != state_of(story, found):
            bad.append(f"{story.id} is {state_of(story, found)}, but {STORIES.name} says {story.state}")
    return bad


def table() -> str:
    """Return the table in Markdown."""
    found = scenarios()
    planned = sum(one.planned for one in found)
    lines = [
        f"共 {len(stories())} 個故事、{len(found)} 個場景（場景大綱算一個），其中 {planned} 個尚未實作。",
        "",
        "| 故事 | Feature | 場景 | 類別 | 測試 |",
        "|---|---|---|---|---|",
    ]
    for story in stories():
        for scenario in (one for one in found if story.id in one.stories):
            kind = "、".join(KINDS[kind] for kind in scenario.kinds)
            mark = "（計畫中）" if scenario.planned else ""
            lines.append(
                f"| {story.id} | {scenario.feature} | {scenario.name} | {kind}{mark} "
                f"| `{scenario.module}::{scenario.test}` |"
            )
    return "\n".join([*lines, ""])


def render() -> str:
    """Return the guide with an up-to-date table."""
    return between(GUIDE.read_text(encoding="utf-8"), _BEGIN, table(), _END, GUIDE)


def main() -> None:
    """Check for inconsistencies, then write or check the guide."""
    if bad := faults():
        sys.exit("\n".join(bad))
    write_or_check(GUIDE, render(), "scripts.traceability")


if __name__ == "__main__":
    main()
