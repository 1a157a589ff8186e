"""Becomes another program under another account. Run as a script, by root.

Usage: ``_launcher.py UID GID PROGRAM ARGUMENTS…``; PROGRAM is a path. Supplementary groups are dropped. The
program inherits the descriptors and the environment of this process.
"""

import os
import sys


def main() -> int:
    uid, gid, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)  # the last: from here on there is no way back
    try:
        os.execv(program, sys.argv[3:])  # noqa: S606 - the whole purpose; no shell is involved
    except OSError as error:
        sys.stderr.write(f"{program} cannot be run as account {uid}: {error.strerror}\n")
    return 126  # as a shell says it


if __name__ == "__main__":
    sys.exit(main())
