"""Nothing imports upwards: the packages and what each may use (see CONTRIBUTING.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import kuaimei

SOURCE = Path(kuaimei.__file__).parent
FOUNDATION = {"audio", "system", "text"}
ENGINES = {*FOUNDATION, "engines", "models"}
CONVERSATION = {*ENGINES, "dialogue", "store"}
FEATURES = {*CONVERSATION, "people", "voices", "rendering", "analysis"}

MAY_USE: dict[str, set[str]] = {
    "system": set(),
    "audio": {"system"},
    "text": set(),
    "models": {"system"},
    "engines": {*FOUNDATION, "models"},
    "training": ENGINES,
    "dialogue": {*FOUNDATION, "engines"},
    "store": {*FOUNDATION, "engines", "dialogue"},
    "people": CONVERSATION,
    "voices": CONVERSATION,
    "rendering": CONVERSATION,
    "analysis": CONVERSATION,
    "http": {*FOUNDATION, "people"},
    "workers": {*ENGINES, "http", "rendering"},
    "server": {*FEATURES, "http"},
    "evaluation": {*FEATURES, "runtime"},
    "cli": {*FEATURES, "http", "server", "workers", "evaluation", "runtime"},
}
FOR_ALL = {"errors", "settings", "__version__"}


def test_every_package_has_its_layer() -> None:
    packages = {folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").is_file()}
    assert packages == MAY_USE.keys()


def test_nothing_imports_upwards() -> None:
    upwards = [
        f"{file.relative_to(SOURCE)}: {used}"
        for package, below in MAY_USE.items()
        for file in sorted((SOURCE / package).rglob("*.py"))
        for used in _used(file)
        if used not in {package, *below, *FOR_ALL}
    ]
    assert not upwards


def _used(file: Path) -> Iterator[str]:
    """Packages that ``file`` imports from."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "kuaimei":
            names = [f"kuaimei.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            root, _, rest = name.partition(".")
            if root == "kuaimei" and rest:
                yield rest.partition(".")[0]


def test_packages_share_no_class_name() -> None:
    """Two packages with public classes of one name would send a reader to the wrong one."""
    found: dict[str, set[str]] = {}
    for file in SOURCE.rglob("*.py"):
        place = file.relative_to(SOURCE).parts[0]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, set()).add(place)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
