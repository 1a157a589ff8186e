"""Child processes: started without ``fork()``, optionally under another account, without secrets.

A process in which engines compute must not call ``fork()``. Their libraries register handlers that run
before a fork and wait for the libraries' threads; if one of these waits for the GIL, which the forking thread
holds, the process deadlocks. `subprocess` and `asyncio.create_subprocess_exec` start children by ``vfork()``,
which runs no such handlers, unless they are given another user, group or supplementary groups, or a function
to run in the child. None of these is used here: a program that has to run under another account is started
through the script `_launcher.py`, which switches the account and executes the program.
"""

import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Account", "account_named", "as_account", "bare_environment"]

_LAUNCHER: Final = Path(__file__).with_name("_launcher.py")
_PASSED_ON: Final = ("LD_LIBRARY_PATH",)
"""Variables always passed on: the paths of shared libraries in unusual places."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine."""

    name: str
    uid: int
    gid: int


def account_named(name: str) -> Account:
    """Return the account called ``name``.

    Raises:
        KeyError: If it does not exist.
    """
    entry = pwd.getpwnam(name)
    return Account(name, entry.pw_uid, entry.pw_gid)


def as_account(account: Account | None, command: Sequence[str]) -> list[str]:
    """Return the command line that runs ``command`` as ``account``, without supplementary groups.

    Args:
        account: None: the account of this process; ``command`` is unchanged.
        command: Path of a program, and its arguments.
    """
    if account is None:
        return [*command]
    # Isolated and without site-packages: root must not run code that other accounts could have placed there.
    return [sys.executable, "-I", "-S", str(_LAUNCHER), str(account.uid), str(account.gid), *command]


def bare_environment(*passed_on: str, **more: str) -> Mapping[str, str]:
    """Return an environment without secrets for a child: program and library paths, and a locale.

    Args:
        passed_on: Names of further variables to copy from this process, if they are set.
        more: Further variables and their values.
    """
    here = {name: os.environ[name] for name in (*_PASSED_ON, *passed_on) if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **here, **more}
