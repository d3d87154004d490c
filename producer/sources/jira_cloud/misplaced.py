"""Records that Jira shows outside of their own time, for ever.

A record outside the window is the mark of a time zone fault, and then no cursor may move. But a site can also hold single
records that it shows in each answer, or in the answers of another time than they bear, such as damaged ones. The
organization would never get on. Either of two questions tells the cases apart:

1. Where the window shows records of its own: is one of these shown if only its own instant is asked for? A site that
   shifts times, of this season at least, does not show it. Then the records outside are misplaced.
2. Where it shows none: are those outside also shown for an instant that is days away? Two windows that are days apart have no
   record in common, whatever the shift. So a record that both show is misplaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from producer.events import Event
from producer.sources.jira_cloud.pager import PageRequest
from producer.sources.window_result import WindowResult
from relay.timestamps import DAY_MS

MAX_MISPLACED = 100
"""Of one site; with more it is the site that is at fault."""
_DISTANCE_MS = 3 * DAY_MS
"""Between the two windows: more than any shift of a zone, and than the day of a server that compares whole days."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request for one instant. `proof`: the record that proves by its presence that times are understood; None: question 2."""

    request: PageRequest
    suspects: tuple[Event, ...]
    proof: Event | None


class MisplacedRecords:
    """The records of one site that are proven to be misplaced, by id and time."""

    def __init__(self) -> None:
        self._known: set[tuple[int, int]] = set()

    def without_known(self, result: WindowResult) -> WindowResult:
        """Return the result with its misplaced records apart from those that may be a zone fault."""
        misplaced = tuple(event for event in result.far_outside_window if _place(event) in self._known)
        return replace(
            result,
            far_outside_window=tuple(
                event for event in result.far_outside_window if _place(event) not in self._known
            ),
            misplaced=misplaced,
            record_count=result.record_count - len(misplaced),
            outside_window=result.outside_window - len(misplaced),
        )

    def question(self, result: WindowResult, page_records: int) -> Question | None:
        """Return the question about the records outside the window. None: they are too many."""
        suspects = result.far_outside_window
        if len(self._known) + len(suspects) > MAX_MISPLACED:
            return None
        proof = result.events[len(result.events) // 2] if result.events else None
        instant = _instant_far_from(result) if proof is None else int(proof["created"])
        return Question(PageRequest(instant, instant + 1, 0, page_records), suspects, proof)

    def note(self, question: Question, answer: Sequence[object]) -> None:
        """Take the answer to a question."""
        shown = {_place(item) for item in answer if isinstance(item, dict)}
        suspects = set(map(_place, question.suspects))
        if question.proof is None:
            self._known |= shown & suspects
        elif _place(question.proof) in shown:
            self._known |= suspects


def _instant_far_from(result: WindowResult) -> int:
    """Return an instant days before the window, and days from each record outside: at its own time it would prove nothing."""
    instant = result.window.start - _DISTANCE_MS
    while any(abs(event["created"] - instant) < _DISTANCE_MS for event in result.far_outside_window):
        instant -= _DISTANCE_MS
    return instant


def _place(event: Event) -> tuple[int, int]:
    return event["id"], event["created"]
