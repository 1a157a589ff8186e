"""Child processes: started without ``fork()``, under another account if need be, with no secrets about them.

A process in which engines compute must not call ``fork()``. The libraries they compute with have handlers
that run before a fork and wait for their threads; where one of those waits for the interpreter's lock, which
the thread that forks holds, all stand still for ever. `subprocess` and `asyncio.create_subprocess_exec` start
children by ``vfork()``, which runs no such handlers, unless they are asked for another user, group or
supplementary groups, or for a function to run in the child. So nothing here asks for these: what has to run
under another account is started as the script `_launcher.py`, which changes the account and becomes the
program.
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
"""Where shared libraries lie, on machines where they lie nowhere usual."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine."""

    name: str
    uid: int
    gid: int


def account_named(name: str) -> Account:
    """The account called ``name``.

    Raises:
        KeyError: If there is none.
    """
    entry = pwd.getpwnam(name)
    return Account(name, entry.pw_uid, entry.pw_gid)


def as_account(account: Account | None, command: Sequence[str]) -> list[str]:
    """``command`` as it has to be started to run as ``account``, without supplementary groups.

    Args:
        account: None: the account of this process, and ``command`` stays as it is.
        command: A path of a program, and its arguments.
    """
    if account is None:
        return [*command]
    # Isolated and without site-packages: root runs nothing here that somebody else could have put there.
    return [sys.executable, "-I", "-S", str(_LAUNCHER), str(account.uid), str(account.gid), *command]


def bare_environment(*passed_on: str, **more: str) -> Mapping[str, str]:
    """The environment of a child that is to know no secrets: where programs and libraries are, and a locale.

    Args:
        passed_on: Names of further variables that it gets as they are here; those that are not set are left
            out.
        more: Further variables.
    """
    here = {name: os.environ[name] for name in (*_PASSED_ON, *passed_on) if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **here, **more}
