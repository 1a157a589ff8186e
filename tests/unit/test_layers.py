"""Nothing imports upwards: the rooms of the house and what each may use (see CONTRIBUTING.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import kuaimei

HOUSE = Path(kuaimei.__file__).parent
GROUND = {"audio", "system", "text"}
FIRST = {*GROUND, "engines", "models"}
SECOND = {*FIRST, "dialogue", "store"}
THIRD = {*SECOND, "people", "voices", "rendering", "analysis", "judging"}

MAY_USE: dict[str, set[str]] = {
    "system": set(),
    "audio": {"system"},
    "text": set(),
    "models": {"system"},
    "engines": {*GROUND, "models"},
    "dialogue": {*GROUND, "engines"},
    "store": {*GROUND, "engines", "dialogue"},
    "people": {*SECOND, "rendering", "voices"},
    "rendering": SECOND,
    "voices": {*SECOND, "rendering"},
    "analysis": SECOND,
    "judging": FIRST,
    "server": THIRD,
    "workers": {*THIRD, "server"},
    "cli": {*THIRD, "server", "workers", "wiring"},
}
FOR_ALL = {"errors", "settings", "__version__"}


def test_every_room_is_on_a_floor() -> None:
    rooms = {folder.name for folder in HOUSE.iterdir() if (folder / "__init__.py").is_file()}
    assert rooms == MAY_USE.keys()


def test_nothing_imports_upwards() -> None:
    upwards = [
        f"{file.relative_to(HOUSE)}: {used}"
        for room, below in MAY_USE.items()
        for file in sorted((HOUSE / room).rglob("*.py"))
        for used in _used(file)
        if used not in {room, *below, *FOR_ALL}
    ]
    assert not upwards


def _used(file: Path) -> Iterator[str]:
    """Rooms that ``file`` imports from."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "kuaimei":
            names = [f"kuaimei.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "kuaimei" and rest:
                yield rest.partition(".")[0]
