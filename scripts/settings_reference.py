"""Generate ``docs/reference/settings.md`` from `kuaimei.settings`.

python -m scripts.settings_reference            # writes the file
python -m scripts.settings_reference --check    # status 1 if the file is out of date
"""

import ast
import inspect
import json
from collections.abc import Iterator
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from kuaimei import settings
from scripts.generated import ROOT, table, write_or_check

__all__ = ["TARGET", "documented", "render"]

TARGET = ROOT / "docs" / "reference" / "settings.md"

_INTRO = """# Settings

Written by `python -m scripts.settings_reference` from `src/kuaimei/settings.py`.

From the lowest to the highest precedence: the defaults, `kuaimei.toml` in the data folder, the file that
`--config` or `KUAIMEI_CONFIG` names, environment variables, arguments of the command line. A list or an
object in an environment variable is JSON:
`KUAIMEI_DIALOGUE__HOTWORDS='["快美", "陳怡君"]'`. The same in `kuaimei.toml`:

```toml
asr = "whisper-base"

[dialogue]
hotwords = ["快美", "陳怡君"]

[server]
max_sessions = 4
```

A value that cannot be is refused when the server starts, with the name of the setting.
"""
_TITLES = {
    "": "Roles and folders",
    "dialogue": "Dialogue",
    "engines": "Engines",
    "store": "Store",
    "rendering": "Rendering",
    "voices": "Voices",
    "analysis": "Analysis",
    "server": "Server",
}
_MADE = {
    "home": "`kuaimei` in the user's data folder",
    "cores": "all that the process may use",
    "threads": "half of the cores that the process may use",
}
"""Defaults that are computed at start-up."""
_TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "yes or no", "Path": "folder"}
_BOUNDS = {
    Gt: (">", "gt"),
    Ge: ("≥", "ge"),
    Lt: ("<", "lt"),
    Le: ("≤", "le"),
    MinLen: ("at least", "min_length"),
}


def main() -> None:
    """Write or check the file."""
    write_or_check(TARGET, render(), "scripts.settings_reference")


def render() -> str:
    """Return the whole document."""
    lines = [_INTRO]
    sections = {
        name: field.annotation for name, field in settings.Settings.model_fields.items() if _is_section(field)
    }
    lines += _section("", settings.Settings, "KUAIMEI_")
    for name, model in sections.items():
        if isinstance(model, type):
            lines += _section(name, model, f"KUAIMEI_{name.upper()}__")
    lines += [
        "## One of `KUAIMEI_SERVER__ICE_SERVERS`\n",
        '`KUAIMEI_SERVER__ICE_SERVERS=\'[{"urls": ["turn:turn.example.org:3478"], "secret": "…"}]\'`\n',
        *_table(settings.IceServer, ""),
    ]
    return "\n".join(lines).rstrip() + "\n"


def documented(model: type[BaseModel]) -> dict[str, str]:
    """Return the string below each field in the source."""
    body = ast.parse(inspect.getsource(model)).body[0]
    found, field = {}, ""
    for node in body.body if isinstance(body, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            field = node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and field:
            found[field] = inspect.cleandoc(str(node.value.value))
            field = ""
        else:
            field = ""
    return found


def _section(name: str, model: type[BaseModel], prefix: str) -> Iterator[str]:
    yield f"## {_TITLES[name]}\n"
    if name:
        yield f"{inspect.cleandoc(model.__doc__ or '')}\n"
    yield from _table(model, prefix)


def _table(model: type[BaseModel], prefix: str) -> list[str]:
    said = documented(model)
    rows = []
    for name, field in model.model_fields.items():
        if not _is_section(field):
            text = said.get(name, "").replace("``", "`")
            told = f"{text}<br>*{_kind(field)}; default:* {_default(name, field)}".removeprefix("<br>")
            rows.append([f"`{prefix}{name.upper()}`" if prefix else f"`{name}`", told])
    return table(["setting", "what it is"], rows)


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _kind(field: FieldInfo) -> str:
    annotation = field.annotation
    options: tuple[Any, ...] = getattr(annotation, "__args__", ())
    origin = getattr(annotation, "__origin__", None)
    if origin is tuple:
        inner = options[0]
        kind = "list of texts" if inner is str else "list, see below"
    elif options:
        kind = " · ".join(str(option) for option in options)
    elif annotation is SecretStr:
        kind = "secret text"
    else:
        kind = _TYPES[getattr(annotation, "__name__", "")]
    bounds = [
        f"{sign} {getattr(one, key):g}"
        for one in field.metadata
        for bound, (sign, key) in _BOUNDS.items()
        if isinstance(one, bound)
    ]
    return ", ".join([kind, *bounds])


def _default(name: str, field: FieldInfo) -> str:
    if name in _MADE:
        return _MADE[name]
    value: Any = field.default
    if field.is_required():
        return "none, it is needed"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        value = json.dumps(value, ensure_ascii=False) if value else ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else "empty"


if __name__ == "__main__":
    main()
