"""The command line: one file for each command."""

from kuaimei.cli.main import main

__all__ = ["main"]
