"""A prepared process: `python -m cli.service_process ARGUMENTS` runs `jira-relay ARGUMENTS` once standard input has a byte.

It imports the program before that, so that the program starts at once. It ends when standard input ends, as it does with the
parent process.
"""

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def main() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    from cli.app import main as relay  # noqa: PLC0415
    from cli.commands import run  # noqa: F401, PLC0415 - imported after the parent-death signal is set

    if not os.read(0, 1):
        return
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    relay()


def _exit_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
