"""Replaces itself by another program, which is killed when the starting process ends. Run as a script.

Usage: ``_spawn_child.py PARENT PROGRAM ARGUMENTS…``; PARENT is the id of the starting process.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> int | None:
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        # The setting survives exec. SIGKILL also ends a stopped process; its progress is in its checkpoint.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return 1  # the parent died before that was arranged
    os.nice(10)  # conversations come first
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("600")  # if memory runs out, this process is killed, not the conversations
    return os.execv(program, sys.argv[2:])  # noqa: S606 - the whole purpose; no shell is involved


if __name__ == "__main__":
    sys.exit(main())
