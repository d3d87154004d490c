"""The result of a window that was read, or of a part of it."""

from dataclasses import dataclass

from producer.events import Event, UnreadableRecord
from producer.sources.errors import SourceFailure
from producer.state.intervals import TimeRange


@dataclass(frozen=True, slots=True)
class WindowResult:
    """A window, or a part of one, that was read to its end: what `Source.read` yields.

    `events`: those created in the window, oldest first, each record once. `covered` ends before the window where the API's
    clock had not reached its end. `record_count`: records the API sent. `outside_window`: those of them it was not
    asked for. `proven` False: the API may hold more of this millisecond than it showed.
    """

    window: TimeRange
    covered: TimeRange
    events: tuple[Event, ...]
    unreadable: tuple[UnreadableRecord, ...]
    record_count: int
    outside_window: int
    proven: bool
    far_outside_window: tuple[Event, ...] = ()
    """Records so far outside that the API must have understood another window: a time zone fault."""
    misplaced: tuple[Event, ...] = ()
    """Records that the API shows in answers about another time, though it understands times. They are in no other count."""
    failure: SourceFailure | None = None
    """Why the API did not serve some records of this part; then it is not read to its end. None: it served all."""
