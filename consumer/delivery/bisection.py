"""Which rows of a refused body are to blame, and whether any is."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from consumer.delivery.batch import Rows
from consumer.destinations.outcome import Reject, Split

Refusal = Reject | Split
STRIKES = 2


class Witness:
    """Remembers what one stream answered, so that a record is not blamed for what the stream refuses to everybody.

    Moments are counted, not timed. One acceptance speaks against one record only.
    """

    def __init__(self) -> None:
        self._moment = 0
        self._accepted = 0
        self._used = 0
        self.answers = 0
        """How many requests have ended, whichever way."""

    def now(self) -> int:
        self._moment += 1
        return self._moment

    def answered(self, started: int, *, accepted: bool) -> None:
        """A request with rows, begun at moment `started`, has ended."""
        self.answers += 1
        if accepted:
            self._accepted = max(self._accepted, started)

    def accepted_since(self, moment: int) -> bool:
        """Whether the stream has taken a request begun after this moment."""
        return self._accepted > moment

    def speaks(self, since: int) -> bool:
        """The same, of a request that has not yet spoken against a record."""
        return self.accepted_since(max(since, self._used))

    def use(self) -> None:
        self._used = self.now()


@dataclass(frozen=True, slots=True)
class _Suspect:
    rows: Rows
    strikes: int
    """How often it was refused alone right after the stream had accepted another."""
    answers: int
    """What the stream had answered by then."""


class Sift:
    """A refused body, halved until its bad rows stand alone.

    A row is guilty when it was refused alone twice, each time after the stream had accepted another since the last; or once,
    and the stream has been asked nothing else since (`again`). A stream that breaks in between would have to break twice, in
    the very moment, to have a good row blamed. As long as it accepts nothing the stream itself is suspected: after some
    refusals `next` gives nothing more, until it accepts something or `again` is called.
    """

    def __init__(
        self,
        rows: Rows,
        refusal: Refusal,
        witness: Witness,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._witness = witness
        self._chance = chance
        self._since = witness.now()
        self._patience = 2 * math.ceil(math.log2(len(rows) + 1)) + 2
        self._refusals = 0
        self._heard = False
        self._strikes = 0
        self._todo: list[Rows] = []
        self._suspects: list[_Suspect] = []
        self.refusal = refusal
        """The last one."""
        self._divide(rows)

    @property
    def done(self) -> bool:
        return not self._todo and not self._suspects

    @property
    def in_doubt(self) -> bool:
        """Whether the stream has taken nothing since the body was refused: the stream may be to blame."""
        return not self._witness.accepted_since(self._since)

    def next(self) -> Rows | None:
        """The rows to send next; None: nothing before the stream has accepted something, or `again`."""
        self._heard = self._witness.speaks(self._since)
        self._strikes = 0
        if self._suspects and self._heard:
            suspect = self._suspects.pop(0)
            self._strikes = suspect.strikes
            return suspect.rows
        if self._todo and (self._heard or self._refusals < self._patience):
            return self._todo.pop()
        return None

    def accepted(self) -> None:
        """The rows that `next` gave were accepted."""
        self._refusals = 0

    def refused(self, rows: Rows, refusal: Refusal) -> bool:
        """The rows that `next` gave were refused. True: it is a single one, and guilty."""
        self.refusal = refusal
        self._refusals += 1
        if len(rows) == 1 and self._heard:
            self._witness.use()
            self._strikes += 1
            if self._strikes >= STRIKES:
                return True
        self._divide(rows)
        return False

    def again(self) -> list[Rows]:
        """Time has passed, and the stream has accepted nothing. Returns the guilty ones; all that is left is tried as one."""
        guilty = [
            each.rows for each in self._suspects if each.strikes and each.answers == self._witness.answers
        ]
        left = self._todo + [each.rows for each in self._suspects if each.rows not in guilty]
        self._todo, self._suspects, self._refusals = ([sum(left, Rows())] if left else []), [], 0
        return guilty

    def _divide(self, rows: Rows) -> None:
        if len(rows) == 1:
            self._suspects.append(_Suspect(rows, self._strikes, self._witness.answers))
            return
        halves = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
        # in changing order, or two bad rows at the front would hide the good ones behind them for ever
        self._todo += halves if self._chance() < 0.5 else halves[::-1]
