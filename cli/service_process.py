"""A prepared process: `python -m cli.service_process ARGUMENTS` runs `jira-relay ARGUMENTS` once standard input has a byte.

It imports the program before that, so that the program starts at once. It ends when standard input ends, as it does with the
parent process.
"""

import ctypes
import importlib
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1
_SERVICES = {
    "produce": "cli.producer_service",
    "consume": "cli.consumer_service",
    "console": "cli.console_service",
}
"""The modules that a command imports when it runs."""


def main() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    from cli.app import main as relay  # noqa: PLC0415 - imported after the parent-death signal is set
    from cli.commands import run  # noqa: F401, PLC0415

    for command in _SERVICES.keys() & set(sys.argv[1:]):
        importlib.import_module(_SERVICES[command])
    if not os.read(0, 1):
        return
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    relay()


def _exit_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
