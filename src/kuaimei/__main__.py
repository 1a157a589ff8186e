"""``python -m kuaimei``: the same as the command."""

from kuaimei.cli import main

main()
