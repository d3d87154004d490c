"""Which rows of a refused body are to blame, and whether any is."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from consumer.delivery.batch import Rows
from consumer.destinations.outcome import Reject, Split

BodyRejection = Reject | Split
REJECTIONS_TO_CONFIRM = 2


class AcceptanceLog:
    """Remembers what one stream answered, so that a record is not blamed for what the stream refuses to everybody.

    Moments are counted, not timed. One acceptance speaks against one record only.
    """

    def __init__(self) -> None:
        self._clock = 0
        self._last_accepted = 0
        self._last_use = 0
        self.answers = 0
        """How many requests have ended, whichever way."""

    def tick(self) -> int:
        self._clock += 1
        return self._clock

    def record_answer(self, started: int, *, accepted: bool) -> None:
        """A request with rows, started at moment `started`, has ended."""
        self.answers += 1
        if accepted:
            self._last_accepted = max(self._last_accepted, started)

    def accepted_since(self, moment: int) -> bool:
        """Whether the stream has taken a request started after this moment."""
        return self._last_accepted > moment

    def has_unused_acceptance(self, since: int) -> bool:
        """The same, of a request that has not yet spoken against a record."""
        return self.accepted_since(max(since, self._last_use))

    def use_acceptance(self) -> None:
        self._last_use = self.tick()


@dataclass(frozen=True, slots=True)
class _Candidate:
    rows: Rows
    rejections: int
    """How often it was refused alone right after the stream had accepted another."""
    answers: int
    """What the stream had answered by then."""


class RejectBisector:
    """A refused body, halved until its bad rows stand alone.

    A row is confirmed bad when it was refused alone twice, each time after the stream had accepted another since the last; or once,
    and the stream has been asked nothing else since (`restart`). A stream that breaks in between would have to break twice, in
    the very moment, to have a good row blamed. As long as it accepts nothing the stream itself is suspected: after some
    refusals `next_rows` gives nothing more, until it accepts something or `restart` is called.
    """

    def __init__(
        self,
        rows: Rows,
        rejection: BodyRejection,
        acceptance_log: AcceptanceLog,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._acceptance_log = acceptance_log
        self._chance = chance
        self._since = acceptance_log.tick()
        self._max_rejections = 2 * math.ceil(math.log2(len(rows) + 1)) + 2
        self._rejections = 0
        self._acceptance_seen = False
        self._current_rejections = 0
        self._pending: list[Rows] = []
        self._candidates: list[_Candidate] = []
        self.last_rejection = rejection
        """The last one."""
        self._bisect(rows)

    @property
    def done(self) -> bool:
        return not self._pending and not self._candidates

    @property
    def config_fault_suspected(self) -> bool:
        """Whether the stream has taken nothing since the body was refused: the stream may be to blame."""
        return not self._acceptance_log.accepted_since(self._since)

    def next_rows(self) -> Rows | None:
        """The rows to send next; None: nothing before the stream has accepted something, or `restart`."""
        self._acceptance_seen = self._acceptance_log.has_unused_acceptance(self._since)
        self._current_rejections = 0
        if self._candidates and self._acceptance_seen:
            candidate = self._candidates.pop(0)
            self._current_rejections = candidate.rejections
            return candidate.rows
        if self._pending and (self._acceptance_seen or self._rejections < self._max_rejections):
            return self._pending.pop()
        return None

    def record_accepted(self) -> None:
        """The rows that `next_rows` gave were accepted."""
        self._rejections = 0

    def record_rejected(self, rows: Rows, rejection: BodyRejection) -> bool:
        """The rows that `next_rows` gave were refused. True: it is a single one, and confirmed bad."""
        self.last_rejection = rejection
        self._rejections += 1
        if len(rows) == 1 and self._acceptance_seen:
            self._acceptance_log.use_acceptance()
            self._current_rejections += 1
            if self._current_rejections >= REJECTIONS_TO_CONFIRM:
                return True
        self._bisect(rows)
        return False

    def restart(self) -> list[Rows]:
        """Time has passed, and the stream has accepted nothing. Returns the rows that are confirmed bad; all that is left is tried as one."""
        confirmed_bad = [
            each.rows
            for each in self._candidates
            if each.rejections and each.answers == self._acceptance_log.answers
        ]
        remaining = self._pending + [each.rows for each in self._candidates if each.rows not in confirmed_bad]
        self._pending, self._candidates, self._rejections = (
            ([sum(remaining, Rows())] if remaining else []),
            [],
            0,
        )
        return confirmed_bad

    def _bisect(self, rows: Rows) -> None:
        if len(rows) == 1:
            self._candidates.append(_Candidate(rows, self._current_rejections, self._acceptance_log.answers))
            return
        halves = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
        # in changing order, or two bad rows at the front would hide the good ones behind them for ever
        self._pending += halves if self._chance() < 0.5 else halves[::-1]
