"""The answers of a spool directory, as outcomes."""

from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent, Split


def classify(status: int, name: str, after: float | None = None) -> Outcome:
    """Return the outcome of an answer that names no row. `after`: seconds that the spool asked to wait, None: it did not."""
    match status:
        case 200:
            return Sent()
        case 400:
            return Reject("The spool rejects the lines.", status)
        case 401:
            return Paused(f"The spool rejects the token. Check destinations.{name}.token.", status)
        case 413:
            return Split("The spool takes fewer lines.", status)
        case 503:
            return Retry("The spool is busy.", status, after)
        case _:
            return Paused(f"The spool answers {status}. Check destinations.{name}.directory.", status)


def classify_status(status: int) -> Outcome:
    """Return the outcome of an answer that has this status alone, for the runbook."""
    return classify(status, "NAME")
