"""``kuaimei key``: print or replace the machine key."""

from typing import Annotated

import typer

from kuaimei.cli import console
from kuaimei.people.machine_key import ensure_machine_key, replace_machine_key

__all__ = ["key"]


def key(
    new: Annotated[bool, typer.Option("--new", help="Replace the key; the old one becomes invalid.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Print the machine key, which grants operator access; the account that runs the server can read it."""
    settings = console.settings_from()
    found = replace_machine_key(settings.home) if new else ensure_machine_key(settings.home)
    if settings.server.open:
        console.note("the server requires no key (KUAIMEI_SERVER__OPEN)")
    if new:
        console.note("a running server accepts it within 5 s and closes the connections that use the old one")
    if as_json:
        console.print_json({"key": found})
    else:
        typer.echo(found)
