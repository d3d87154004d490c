"""Becomes another program: python launch.py PARENT_PID LOCK_FD NICENESS PROGRAM ARGUMENTS...

Run as a script of its own between fork and exec, where Python code of a threaded program must not run. On Linux the program
gets SIGTERM when its parent dies, kill -9 included. The lock stays held, with the process id in its file, for as long as the
program runs: descriptors outlive exec.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, lock, niceness, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit("The parent is gone already.")
    os.nice(int(niceness))
    os.pwrite(int(lock), str(os.getpid()).encode(), 0)
    os.execv(command[0], command)  # noqa: S606 - this is what it is for


main()
