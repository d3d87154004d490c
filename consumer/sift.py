"""Which rows of a refused body are to blame, and whether any is."""

import math
import random
from collections.abc import Callable

from consumer.batch import Rows
from consumer.outcomes import Reject, Split

Refusal = Reject | Split


class Witness:
    """Remembers what one stream accepted, so that a record is not blamed for what the stream refuses to everybody.

    Moments are counted, not timed. One acceptance speaks against one record only: if the stream breaks right after it, no
    more than that one can be blamed wrongly.
    """

    def __init__(self) -> None:
        self._moment = 0
        self._accepted = 0
        self._used = 0

    def now(self) -> int:
        self._moment += 1
        return self._moment

    def accepted(self, started: int) -> None:
        """A request with rows, begun at moment `started`, was accepted."""
        self._accepted = max(self._accepted, started)

    def speaks(self, since: int) -> bool:
        """Whether the stream has taken a request begun after `since`, which has not yet spoken against a record."""
        return self._accepted > max(since, self._used)

    def use(self) -> None:
        self._used = self.now()


class Sift:
    """A refused body, halved until its bad rows stand alone.

    A row is guilty when it is refused alone by a stream that has, since the body was refused, accepted another. Until then
    the stream itself is suspected: after some refusals `next` gives nothing more, until the stream accepts something or
    `again` is called.
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
        self._todo: list[Rows] = []
        self._suspects: list[Rows] = []
        self.refusal = refusal
        """The last one."""
        self._divide(rows)

    @property
    def done(self) -> bool:
        return not self._todo and not self._suspects

    def next(self) -> Rows | None:
        """The rows to send next; None: nothing before the stream has accepted something, or `again`."""
        self._heard = self._witness.speaks(self._since)
        if self._suspects and self._heard:
            return self._suspects.pop(0)
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
            return True
        self._divide(rows)
        return False

    def again(self) -> None:
        """Time has passed and the stream has accepted nothing: try all that is left as one."""
        left = [*self._todo, *self._suspects]
        self._todo, self._suspects, self._refusals = [sum(left, Rows())], [], 0

    def _divide(self, rows: Rows) -> None:
        if len(rows) == 1:
            self._suspects.append(rows)
            return
        halves = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
        # in changing order, or two bad rows at the front would hide the good ones behind them for ever
        self._todo += halves if self._chance() < 0.5 else halves[::-1]
