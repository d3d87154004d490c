"""Where the program begins. Nothing heavy is imported before Ctrl-C is sure to end it without a word."""

import signal


def main() -> None:
    on_interrupt = signal.getsignal(signal.SIGINT)
    if on_interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cli.app import main as run  # noqa: PLC0415 - it takes a moment, in which an interrupt would be a traceback

    signal.signal(signal.SIGINT, on_interrupt)
    run()


if __name__ == "__main__":
    main()
