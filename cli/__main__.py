"""The entry point of the program. Ctrl-C ends it without a traceback, also while its modules are loaded."""

import signal


def main() -> None:
    on_interrupt = signal.getsignal(signal.SIGINT)
    if on_interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cli.app import main as run  # noqa: PLC0415 - an interrupt would show a traceback while it loads

    signal.signal(signal.SIGINT, on_interrupt)
    run()


if __name__ == "__main__":
    main()
