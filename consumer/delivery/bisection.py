"""Bisection of a rejected body, and the log of acceptances that decides about blame."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from consumer.delivery.batch import Rows
from consumer.destinations.outcome import Reject, Split
from consumer.offsets.tracker import SequenceRange

BodyRejection = Reject | Split
REJECTIONS_TO_CONFIRM = 2


class AcceptanceLog:
    """Remembers when one flow accepted rows, so that no row is blamed when the flow rejects everything.

    Moments are counted, not timed. One acceptance is evidence against one row only.
    """

    def __init__(self) -> None:
        self._clock = 0
        self._last_accepted = 0
        self._last_use = 0
        self.answers = 0
        """Number of requests that have ended, with any outcome."""

    def tick(self) -> int:
        self._clock += 1
        return self._clock

    def record_answer(self, started: int, *, accepted: bool) -> None:
        """Record the end of a request that started at moment `started`. `accepted`: it accepted at least one row."""
        self.answers += 1
        if accepted:
            self._last_accepted = max(self._last_accepted, started)

    def accepted_since(self, moment: int) -> bool:
        """Return whether the flow has accepted a request that started after this moment."""
        return self._last_accepted > moment

    def has_unused_acceptance(self, since: int) -> bool:
        """Return the same of a request that is not yet evidence against a row."""
        return self.accepted_since(max(since, self._last_use))

    def use_acceptance(self) -> None:
        self._last_use = self.tick()


@dataclass(frozen=True, slots=True)
class _Candidate:
    rows: Rows
    rejections: int
    """How often it was rejected alone right after the flow had accepted another body."""
    answers: int
    """`AcceptanceLog.answers` at the last rejection."""
    after_acceptance: bool = False
    """Whether the last rejection came right after an acceptance."""


class RejectBisector:
    """Halves a rejected body until each bad row is alone.

    1. A row is confirmed bad when it was rejected alone twice, each time after a new acceptance of the flow, however long
       apart; or once, when the flow has answered nothing else since (`restart`).
    2. So a good row is blamed only if the flow breaks twice, each time between an acceptance and that row.
    3. While the flow accepts nothing, its configuration is suspected. After some rejections `next_rows` returns None until
       the flow accepts something, or until `restart`.
    """

    def __init__(
        self,
        rows: Rows,
        rejection: BodyRejection,
        acceptance_log: AcceptanceLog,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._acceptance_log = acceptance_log
        self._separator = rows.encoded.separator
        self._draw = draw
        self._since = acceptance_log.tick()
        self._max_rejections = 2 * math.ceil(math.log2(len(rows) + 1)) + 2
        self._rejections = 0
        self._acceptance_seen = False
        self._current_rejections = 0
        self._pending: list[Rows] = []
        self._candidates: list[_Candidate] = []
        self._kept_rejections: dict[tuple[SequenceRange, ...], int] = {}
        """Of rows that were candidates before `restart`: several bad rows would else undo each other's evidence for ever."""
        self.last_rejection = rejection
        self._bisect(rows)

    @property
    def done(self) -> bool:
        return not self._pending and not self._candidates

    @property
    def remaining(self) -> int:
        """Number of rows that are neither accepted nor confirmed bad."""
        return sum(map(len, self._pending)) + len(self._candidates)

    @property
    def config_fault_suspected(self) -> bool:
        """Whether the flow has accepted nothing since the body was rejected."""
        return not self._acceptance_log.accepted_since(self._since)

    def next_rows(self) -> Rows | None:
        """Return the rows to send next; None: send nothing until the flow accepts something, or until `restart`."""
        self._acceptance_seen = self._acceptance_log.has_unused_acceptance(self._since)
        self._current_rejections = 0
        if self._candidates and self._acceptance_seen:
            candidate = self._candidates.pop(0)
            self._current_rejections = candidate.rejections
            return candidate.rows
        if self._pending and (self._acceptance_seen or self._rejections < self._max_rejections):
            part = self._pending.pop()
            self._current_rejections = self._kept_rejections.get(part.tracked.sequences, 0)
            return part
        return None

    def record_accepted(self) -> None:
        """Record that the rows of `next_rows` were accepted."""
        self._rejections = 0

    def record_rejected(self, rows: Rows, rejection: BodyRejection) -> bool:
        """Record that the rows of `next_rows`, or some of them, were rejected. Return whether they are one row, confirmed bad."""
        self.last_rejection = rejection
        self._rejections += 1
        after_acceptance = len(rows) == 1 and self._acceptance_seen
        if after_acceptance:
            self._acceptance_log.use_acceptance()
            self._current_rejections += 1
            if self._current_rejections >= REJECTIONS_TO_CONFIRM:
                return True
        self._bisect(rows, after_acceptance=after_acceptance)
        return False

    def restart(self) -> list[Rows]:
        """Begin again after a wait without an acceptance: all remaining rows are one part. Return the rows that are confirmed bad."""
        confirmed_bad = [
            each.rows
            for each in self._candidates
            if each.after_acceptance and each.answers == self._acceptance_log.answers
        ]
        self._kept_rejections |= {each.rows.tracked.sequences: each.rejections for each in self._candidates}
        remaining = self._pending + [each.rows for each in self._candidates if each.rows not in confirmed_bad]
        self._pending, self._candidates, self._rejections = (
            ([Rows.joined(remaining, self._separator)] if remaining else []),
            [],
            0,
        )
        return confirmed_bad

    def _bisect(self, rows: Rows, *, after_acceptance: bool = False) -> None:
        if len(rows) == 1:
            rejections = max(self._current_rejections, self._kept_rejections.get(rows.tracked.sequences, 0))
            self._candidates.append(
                _Candidate(rows, rejections, self._acceptance_log.answers, after_acceptance)
            )
            return
        halves = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
        # In changing order: otherwise two bad rows at the front would hide the good rows after them for ever.
        self._pending += halves if self._draw() < 0.5 else halves[::-1]
