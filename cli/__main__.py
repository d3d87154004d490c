"""The entry point of the program. Ctrl-C ends it without a traceback, also while its modules are loaded."""

import os
import signal
from types import FrameType


def main() -> None:
    on_interrupt, first = signal.getsignal(signal.SIGINT), os.getpid() == 1
    if first:
        # The kernel drops signals that the first process of a container does not handle: a stop during the load would wait for SIGKILL.
        signal.signal(signal.SIGTERM, _end)
    if on_interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end if first else signal.SIG_DFL)
    from cli.app import main as run  # noqa: PLC0415 - an interrupt would show a traceback while it loads

    signal.signal(signal.SIGINT, on_interrupt)
    run()


def _end(number: int, _frame: FrameType | None) -> None:
    """End as any other process does: at once."""
    os._exit(128 + number)


if __name__ == "__main__":
    main()
