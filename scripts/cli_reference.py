"""Generate ``docs/reference/cli.md`` from the commands themselves.

python -m scripts.cli_reference            # writes the file
python -m scripts.cli_reference --check    # status 1 if the file is out of date
"""

from collections.abc import Iterator
from typing import Any

import typer.main

from kuaimei.cli.main import _app
from scripts.generated import ROOT, table, write_or_check

__all__ = ["TARGET", "render"]

TARGET = ROOT / "docs" / "reference" / "cli.md"

_INTRO = """# Command line

Written by `python -m scripts.cli_reference` from `src/kuaimei/cli`.

After `make setup` the command is `.venv/bin/kuaimei`. Every command reads the [settings](settings.md);
`kuaimei COMMAND --help` says what stands here. A failure is one sentence on stderr: status 1, or 2 for a
setting or an argument that cannot be.
"""
_OWN = {"help", "install_completion", "show_completion"}


def main() -> None:
    """Write or check the file."""
    write_or_check(TARGET, render(), "scripts.cli_reference")


def render() -> str:
    """Return the whole document."""
    app: Any = typer.main.get_command(_app())
    lines = [_INTRO]
    for name, command in app.commands.items():
        lines += _command(f"kuaimei {name}", command, "##")
    return "\n".join(lines).rstrip() + "\n"


def _command(name: str, command: Any, heading: str) -> Iterator[str]:
    yield f"{heading} {name}\n"
    yield f"{_paragraphs(command.help or '')}\n"
    inner = getattr(command, "commands", None)
    if inner is not None:
        for one, below in inner.items():
            yield from _command(f"{name} {one}", below, f"{heading}#")
        return
    parameters = [p for p in command.params if p.name not in _OWN and not getattr(p, "hidden", False)]
    usage = [name]
    usage += [_argument(p) for p in parameters if p.param_type_name == "argument"]
    if any(p.param_type_name == "option" for p in parameters):
        usage.append("[options]")
    yield f"```sh\n{' '.join(usage)}\n```\n"
    if parameters:
        rows = [[_names(p), f"{_paragraphs(getattr(p, 'help', '') or '')}{_default(p)}"] for p in parameters]
        yield from table(["argument", "what it is"], rows)


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name).strip("[]").upper()
    name = f"{name} …" if parameter.nargs == -1 or parameter.multiple else name
    return name if parameter.required else f"[{name}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_argument(parameter)}`"
    value = "" if parameter.is_flag else f" {str(parameter.metavar or parameter.name).upper()}"
    names = " / ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return names.removesuffix("`") + f"{value}`" if value else names


def _default(parameter: Any) -> str:
    default = parameter.default
    if parameter.required:
        return " *Needed.*"
    off = default is False and getattr(parameter, "is_flag", False)
    if off or default is None or default == "" or callable(default):
        return ""
    return f" *Default:* {'yes' if default is True else f'`{default}`'}"


def _paragraphs(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


if __name__ == "__main__":
    main()
