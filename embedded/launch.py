"""Replace this process by another program: python launch.py PARENT_PID LOCK_FD NICENESS PROGRAM ARGUMENTS...

1. It runs between fork and exec, where a threaded program must not run Python code; hence a script of its own.
2. On Linux the program gets SIGTERM when its parent dies, even by kill -9.
3. The program holds the lock while it runs, with its process id in the lock file: descriptors outlive exec.
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
        sys.exit("The parent process has ended already.")
    os.nice(int(niceness))
    os.pwrite(int(lock), str(os.getpid()).encode(), 0)
    os.execv(command[0], command)  # noqa: S606 - the purpose of this script


main()
