"""Becomes `jira-relay ARGUMENTS` once a line comes on standard input, and ends when that ends: with whoever started it.

Run as `python -m cli.service_process`. The program is imported before the line comes, so that it can start at once.
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
    from cli.commands import run  # noqa: F401, PLC0415 - whoever dies meanwhile takes us along

    if not os.read(0, 1):
        return
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    relay()


def _exit_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
