"""``kuaimei key``: the machine's own key."""

from typing import Annotated

import typer

from kuaimei.cli import console
from kuaimei.people.machine_key import ensure_machine_key, replace_machine_key

__all__ = ["key"]


def key(
    new: Annotated[
        bool, typer.Option("--new", help="Make another; the one that was lets nobody in any more.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on stdout.")] = False,
) -> None:
    """Print the machine's own key, which lets in as the operator; whoever runs the server can read it."""
    settings = console.settings_from()
    found = replace_machine_key(settings.home) if new else ensure_machine_key(settings.home)
    if settings.server.open:
        console.note("the server asks for no key here (KUAIMEI_SERVER__OPEN)")
    if new:
        console.note("a server that runs takes it within 5 s; open connections by the old one end")
    if as_json:
        console.print_json({"key": found})
    else:
        typer.echo(found)
