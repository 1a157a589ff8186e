"""``kuaimei``: entry point that registers the commands and reports their failures."""

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from kuaimei import __version__
from kuaimei.errors import KuaimeiError
from kuaimei.settings import CONFIG
from kuaimei.system.privacy import close_umask

__all__ = ["main"]

_COMMANDS = ("setup", "serve", "key", "talk", "say", "hear", "analyse", "calibrate", "doctor", "worker")
_GROUPS = ("models", "voices", "people", "bench")


def _version(show: bool) -> None:
    if show:
        typer.echo(f"kuaimei {__version__}")
        raise typer.Exit


def _config(file: Path | None) -> None:
    if file is not None:
        os.environ[CONFIG] = str(file.absolute())


def _app() -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="快美: voice chat that never leaves your building.",
    )

    @app.callback()
    def options(
        version: Annotated[
            bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
        ] = False,
        config: Annotated[
            Path | None,
            typer.Option(callback=_config, help="Settings file, in addition to the one in the data folder."),
        ] = None,
    ) -> None:
        pass

    # Import only the requested command, so that it need not load the libraries of the others.
    given = sys.argv[3:4] if sys.argv[1:2] == ["--config"] else sys.argv[1:2]
    wanted = [name for name in (*_COMMANDS, *_GROUPS) if name in given] or [*_COMMANDS, *_GROUPS]
    for name in wanted:
        module = importlib.import_module(f"kuaimei.cli.{name}")
        if name in _GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


def main() -> None:
    """Run the command given by the arguments; an expected error is one line on stderr and status 1."""
    close_umask()  # before anything is written: files must not be readable by other accounts
    try:
        _app()()
    except KuaimeiError as error:
        _fail(str(error))
    except ValidationError as error:
        for detail in error.errors():
            where = ".".join(str(part) for part in detail["loc"]) or "settings"
            print(f"kuaimei: {where}: {detail['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        _exit(2)
    except KeyboardInterrupt:
        _exit(130)


def _fail(message: str) -> None:
    print(f"kuaimei: {message}", file=sys.stderr)
    _exit(1)


def _exit(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status) if _has_lingering_threads() else sys.exit(status)


def _has_lingering_threads() -> bool:
    """Return True if computing threads are left, which would delay the exit of a failed command."""
    import threading

    return any(not t.daemon for t in threading.enumerate() if t is not threading.main_thread())
