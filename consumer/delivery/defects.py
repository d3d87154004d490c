"""Defects of the relay's own code, which are retried and named, and never dropped with their rows."""

from polars.exceptions import PanicException

from relay.errors import one_line
from relay.timestamps import to_iso_seconds

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


def dropped_text(count: int, rows: int, at_ms: int, reason: str) -> str:
    """Return the notice that the status shows after a destination dropped rows of a body without naming them."""
    return (
        f"The destination dropped {count} of the {rows} events of a body at {to_iso_seconds(at_ms)} and named none ({reason})."
        " All events of the body are dead letters, and the others are at the destination too. Compare both by uid, and correct"
        " the cause."
    )


def open_rejections_text(count: int, since_ms: int, reason: str) -> str:
    """Return the notice that the status shows while rejected events wait, and no configuration is suspected."""
    return (
        f"Rejected events wait until the destination accepts other events: {count}, since {to_iso_seconds(since_ms)} ({reason})."
        " Each is tried again then, and is accepted or becomes a dead letter. Nothing is dropped, and other events are sent."
    )


def config_fault_text(reason: str, config_hint: str) -> str:
    """Return the reason that the status shows while the destination rejects everything."""
    return (
        f"The destination rejected a request ({reason}) and has accepted nothing since, so its configuration is the likely cause."
        f" {config_hint} Nothing is dropped; the same rows are sent again."
    )
