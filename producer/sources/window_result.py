from dataclasses import dataclass

from producer.events import Event, UnreadableRecord
from producer.state.intervals import TimeRange


@dataclass(frozen=True, slots=True)
class WindowResult:
    """A window that has been read to its end.

    `events` are those created in the window, oldest first, each id once. `covered` ends before the window does where
    Jira's clock had not come that far. `record_count` counts what Jira sent, `outside_window` those not asked for. Not `proven`:
    Jira may hold more of this millisecond than it shows.
    """

    window: TimeRange
    covered: TimeRange
    events: tuple[Event, ...]
    unreadable: tuple[UnreadableRecord, ...]
    record_count: int
    outside_window: int
    proven: bool
