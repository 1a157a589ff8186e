"""Launcher that switches to another account and executes a program. Run as a script, by root.

Usage: ``_launcher.py UID GID PROGRAM ARGUMENTS…``; PROGRAM is a path. Supplementary groups are dropped. The
program inherits the descriptors and the environment of this process.
"""

import os
import sys


def main() -> int:
    uid, gid, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)  # last: afterwards the groups could not be changed
    try:
        os.execv(program, sys.argv[3:])  # noqa: S606 - the purpose of this script; no shell is involved
    except OSError as error:
        sys.stderr.write(f"{program} cannot be run as account {uid}: {error.strerror}\n")
    return 126  # "command cannot execute", as in a shell


if __name__ == "__main__":
    sys.exit(main())
