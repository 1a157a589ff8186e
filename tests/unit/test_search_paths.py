"""Nothing is looked for in the directory that the program happens to be started in."""

import ast
from pathlib import Path

import kuaimei

SOURCES = sorted(Path(kuaimei.__file__).parent.rglob("*.py"))


def test_no_module_asks_for_the_working_directory() -> None:
    asked = [
        f"{file}:{node.lineno}"
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in {"cwd", "getcwd", "getcwdb"}
    ]
    assert asked == []
