"""Command-line interface: one module for each command."""

from kuaimei.cli.main import main

__all__ = ["main"]
