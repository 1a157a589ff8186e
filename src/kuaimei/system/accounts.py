"""System account for programs that refuse to run as root."""

import subprocess
from pathlib import Path
from typing import Final

from kuaimei.system.processes import Account, account_named, bare_environment

__all__ = ["ensure_account", "may_pass", "may_read"]

_SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


def ensure_account(name: str) -> Account:
    """Return the system account ``name``; create it if it does not exist.

    Raises:
        OSError: If it does not exist and cannot be created.
    """
    try:
        return account_named(name)
    except KeyError:
        pass
    command = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        name,
    ]
    environment = bare_environment(PATH=_SYSTEM_PATH)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        return account_named(name)  # may have been created by another process meanwhile
    except KeyError:
        raise OSError(done.stderr.strip() or f"useradd exited with status {done.returncode}") from None


def may_pass(path: Path) -> bool:
    """Return whether every account may traverse the folders above ``path``."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def may_read(path: Path) -> bool:
    """Return whether every account may read ``path``, and enter or execute a folder or program."""
    mode = path.stat().st_mode
    needed = 0o005 if path.is_dir() or mode & 0o100 else 0o004
    return mode & needed == needed
