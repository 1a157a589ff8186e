"""Nothing is looked for in the directory that the program happens to be started in."""

import ast
from pathlib import Path

import kuaimei

SOURCES = sorted(Path(kuaimei.__file__).parent.rglob("*.py"))


def test_no_module_asks_for_the_working_directory() -> None:
    # The settings look only to say that what lies there is not read.
    asked = [
        f"{file}:{node.lineno}"
        for file in SOURCES
        if file.name != "settings.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in {"cwd", "getcwd", "getcwdb"}
    ]
    assert asked == []
