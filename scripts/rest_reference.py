"""Generate ``docs/reference/rest.md`` from the application's OpenAPI description.

python -m scripts.rest_reference            # writes the file
python -m scripts.rest_reference --check    # status 1 if the file is out of date
"""

import inspect
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from kuaimei.runtime import Runtime
from kuaimei.server.app import create_app
from kuaimei.server.realtime import websocket
from kuaimei.server.static_page import Page
from kuaimei.settings import Settings
from scripts.generated import ROOT, table, write_or_check

__all__ = ["TARGET", "render"]

TARGET = ROOT / "docs" / "reference" / "rest.md"

_INTRO = """# REST

Written by `python -m scripts.rest_reference` from the application; a running server gives the whole
description, with every schema, at `/api/openapi.json`.

Everything but the page itself, `/healthz` and `/readyz` wants a key, `Authorization: Bearer …`, and answers
about what belongs to the person whose key it is. `/metrics` wants an operator's.
Failures are answered as in the OpenAI dialect, `{"error": {"message", "type", "code", "param"}}`, with one
sentence that says what to do. Lists are `{"object": "list", "data": […]}`. How to talk:
[realtime events](events.md).
"""
_GROUPS = (
    ("Speech and language (OpenAI dialects)", r"/v1/(audio|chat|models)"),
    ("Conversations", r"/v1/realtime"),
    ("Sessions", r"/api/sessions"),
    ("Recordings", r"/api/recordings"),
    ("Analysis", r"/api/analysis"),
    ("Rating how people spoke", r"/api/labelling"),
    ("Voices", r"/api/voices"),
    ("Comparing blind", r"/api/listening"),
    ("Who is asking", r"/api/me"),
    ("State", r"/"),
)


def main() -> None:
    """Write or check the file."""
    write_or_check(TARGET, render(), "scripts.rest_reference")


def render() -> str:
    """Return the whole document."""
    described = _described()
    operations = [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = described.get("components", {}).get("schemas", {})
    lines = [_INTRO]
    for title, pattern in _GROUPS:
        mine = [one for one in operations if re.match(pattern, one[0])]
        operations = [one for one in operations if one not in mine]
        rows = [[f"`{method.upper()} {path}`", _said(operation)] for path, method, operation in mine]
        if title == "Conversations":
            rows.insert(0, ["`WebSocket /v1/realtime`", _first(inspect.getdoc(websocket.realtime) or "")])
        lines += [f"## {title}\n", *table(["request", "what it does"], rows)]
        for path, method, operation in mine:
            lines += _fields(path, method, operation, schemas)
    return "\n".join(lines).rstrip() + "\n"


def _described() -> dict[str, Any]:
    """Return the OpenAPI description of an application without engines or store."""
    with tempfile.TemporaryDirectory() as home:
        engines = cast(Any, SimpleNamespace(synthesizer=None))
        runtime = Runtime(Settings(home=Path(home)), engines, None, (), ())
        return create_app(runtime, Page(Path(home))).openapi()


def _fields(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    rows = [
        [
            f"`{one['name']}`",
            one["in"],
            _kind(one["schema"], schemas),
            _need(one["schema"], one.get("required")),
        ]
        for one in operation.get("parameters", [])
        if one["in"] == "query"
    ]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = _resolved(content["schema"], schemas)
        where = "form" if media.startswith("multipart") else "body"
        for name, field in schema.get("properties", {}).items():
            required = name in schema.get("required", ())
            rows.append([f"`{name}`", where, _kind(field, schemas), _need(field, required)])
    if rows:
        yield f"`{method.upper()} {path}` takes\n"
        yield from table(["field", "in", "kind", "default"], rows)


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return cast(dict[str, Any], schemas[name]) if name else schema


def _kind(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    if "anyOf" in schema:
        kinds = [_kind(one, schemas) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " · ".join(f"`{one}`" for one in schema["enum"])
    if "$ref" in schema:
        return _kind(_resolved(schema, schemas), schemas)
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}), schemas)}"
    if "contentMediaType" in schema or schema.get("format") == "binary":
        return "file"
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    return ", ".join([kind, *bounds])


def _need(schema: dict[str, Any], required: object) -> str:
    if required:
        return "needed"
    default = schema.get("default")
    return "–" if default in (None, "") or isinstance(default, dict | list) else f"`{json.dumps(default)}`"


def _said(operation: dict[str, Any]) -> str:
    return _first(operation.get("description") or operation.get("summary", ""))


def _first(text: str) -> str:
    """Return the first paragraph, in Markdown."""
    return text.partition("\n\n")[0].replace("``", "`")


if __name__ == "__main__":
    main()
