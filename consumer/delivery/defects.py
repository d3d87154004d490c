"""Defects of the relay's own code, which are retried and named, and never dropped with their rows."""

from polars.exceptions import PanicException

from relay.errors import one_line

DEFECTS = (Exception, PanicException)
"""Exceptions of a defect. A panic of polars is no Exception: unnoticed it would end the process."""


def describe_defect(error: BaseException) -> str:
    """Return class and message on one line: the class names the defect."""
    text = one_line(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def filter_fault_text(defect: str) -> str:
    """Return the reason that the status shows while the filter fails on an event."""
    return (
        f"The filter of the destination fails on an event ({defect}). No event is skipped or sent until it is corrected: change"
        " `where` and restart the consumer."
    )


def defect_text(step: str, defect: str) -> str:
    """Return the reason that the status shows while `step` is tried again."""
    return (
        f"The relay has a defect ({step}: {defect}); it tries the same events again, and nothing is dropped. Report it with the"
        " log of this process."
    )


def config_fault_text(reason: str, config_hint: str) -> str:
    """Return the reason that the status shows while the destination rejects everything."""
    return (
        f"The destination rejected a request ({reason}) and has accepted nothing since, so its configuration is the likely cause."
        f" {config_hint} Nothing is dropped; the same rows are sent again."
    )
