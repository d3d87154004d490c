"""Records that Jira shows outside of their own time, for ever.

A record outside the window is the mark of a time zone fault, and then no cursor may move. But a site can also hold single
records that it shows in each answer, or in the answers of another time than they bear, such as corrupt ones. The
organization would never get on. A question tells the cases apart. Another node of the site may answer it than answered for
the window, and one alone may have the fault. So the proof must not need the window's own node:

1. Where the window shows records of its own, the instant of one of these is asked for. If that record is shown, this answer
   understands times, and records outside that it shows too are misplaced. Those that it does not show are misplaced only if
   they are days away from the window: a zone fault of another node shifts by less.
2. Where it shows none, an instant is asked for that is days away. Two windows that are days apart have no record in common,
   whatever the shift. So a record that both show is misplaced.

A record that bears a time less than days away, and that no other answer shows, remains a suspect: to hold the cursor
is seen, and to pass an hour that a node has hidden is not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from producer.events import Event
from producer.sources.jira_cloud.pager import PageRequest
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS

MAX_MISPLACED = 100
"""In one window; with more it is the site that is at fault."""
_MAX_KNOWN = 10 * MAX_MISPLACED
"""Of one site, the last shown; a forgotten one is asked about again."""
_DISTANCE_MS = 3 * DAY_MS
"""Between the two windows: more than any shift of a zone, and than the day of a server that compares whole days."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request for one instant. `proof`: the record that proves by its presence that times are understood; None: question 2."""

    request: PageRequest
    window: TimeRange
    suspects: tuple[Event, ...]
    proof: Event | None


class MisplacedRecords:
    """The records of one site that are proven to be misplaced, by id and time."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], None] = {}
        """The last shown comes last."""

    def without_known(self, result: WindowResult) -> WindowResult:
        """Return the result with its misplaced records apart from those that may be a zone fault."""
        misplaced = tuple(event for event in result.far_outside_window if _place(event) in self._known)
        if len(misplaced) > MAX_MISPLACED:
            return result
        self._remember(map(_place, misplaced))
        return replace(
            result,
            far_outside_window=tuple(
                event for event in result.far_outside_window if _place(event) not in self._known
            ),
            misplaced=(*result.misplaced, *misplaced),
            record_count=result.record_count - len(misplaced),
            outside_window=result.outside_window - len(misplaced),
        )

    def question(self, result: WindowResult, page_records: int) -> Question | None:
        """Return the question about the records outside the window. None: they are too many."""
        suspects = result.far_outside_window
        if len(result.misplaced) + len(suspects) > MAX_MISPLACED:
            return None
        proof = result.events[len(result.events) // 2] if result.events else None
        instant = _instant_far_from(result) if proof is None else int(proof["created"])
        return Question(PageRequest(instant, instant + 1, 0, page_records), result.window, suspects, proof)

    def note(self, question: Question, answer: Sequence[object]) -> None:
        """Take the answer to a question."""
        shown = {_place(item) for item in answer if isinstance(item, dict)}
        if question.proof is None:
            self._remember(place for place in map(_place, question.suspects) if place in shown)
        elif _place(question.proof) in shown:
            self._remember(
                _place(event)
                for event in question.suspects
                if _place(event) in shown or _is_days_away(question.window, event)
            )

    def _remember(self, places: Iterable[tuple[int, int]]) -> None:
        for place in places:
            self._known.pop(place, None)
            self._known[place] = None
        for place in list(self._known)[:-_MAX_KNOWN]:
            del self._known[place]


def _is_days_away(window: TimeRange, event: Event) -> bool:
    away = TimeRange(window.start - _DISTANCE_MS, window.end + _DISTANCE_MS)
    return event["created"] not in away


def _instant_far_from(result: WindowResult) -> int:
    """Return an instant days before the window, and days from each record outside: at its own time it would prove nothing."""
    instant = result.window.start - _DISTANCE_MS
    while any(abs(event["created"] - instant) < _DISTANCE_MS for event in result.far_outside_window):
        instant -= _DISTANCE_MS
    return instant


def _place(event: Event) -> tuple[int, int]:
    return event["id"], event["created"]
