from dataclasses import dataclass

from producer.events import Event, Unreadable
from producer.state.intervals import Range


@dataclass(frozen=True, slots=True)
class Piece:
    """A window that has been read to its end.

    `events` are those created in the window, oldest first, each id once. `covered` ends before the window does where
    Jira's clock had not come that far. `rows` counts what Jira sent, `outside` those not asked for. Not `proven`:
    Jira may hold more of this millisecond than it shows.
    """

    window: Range
    covered: Range
    events: tuple[Event, ...]
    unreadable: tuple[Unreadable, ...]
    rows: int
    outside: int
    proven: bool
