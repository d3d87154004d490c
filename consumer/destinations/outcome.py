"""The outcomes of one request. The sender matches all of them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sent:
    """The destination accepted every row."""

    note: str = field(default="", compare=False)
    """Of a probe: what `jira-relay check` shows of the destination, such as its product and version."""
    warning: str = field(default="", compare=False)
    """What the destination remarks although it accepted every row; logged."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The problem is transient: the same body is sent again. The destination may have accepted the rows nevertheless."""

    reason: str
    status: int | None = None
    after: float | None = None
    """Seconds that the destination asked the relay to wait, at least; None: it did not say."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The destination judged each row. It accepted the rows that are named in neither field.

    Rows are numbered from 0 in the order of the body. The sender makes dead letters of rejected rows when the same answer
    accepts another row; otherwise it waits for other evidence. Rows to retry go on in a body of their own.
    """

    rejected: Mapping[int, str] = field(default_factory=dict)
    """Row: reason. The same row in the same state is never accepted."""
    retry: frozenset[int] = frozenset()
    """Rows that were neither accepted nor rejected."""
    after: float | None = None
    """Seconds before the rows to retry may be sent again; None: the destination did not say."""
    status: int | None = None
    reason: str = "The destination did not accept some rows of a body."
    """Why rows have to be sent again."""
    unprocessed: bool = False
    """Whether the destination stopped before the rows to retry: they are sent at once, and nothing is wrong with it."""

    def accepted_count(self, rows: int) -> int:
        """Return the number of accepted rows in a body of `rows` rows."""
        return rows - len(self.rejected.keys() | self.retry)

    def as_retry(self) -> Retry | None:
        """Return the answer for the rows to retry; None: there are none, or they may be sent at once."""
        return Retry(self.reason, self.status, self.after) if self.retry and not self.unprocessed else None

    def names_rows_of(self, rows: int) -> bool:
        """Return whether every named row is in a body of `rows` rows, and named once."""
        named = self.rejected.keys() | self.retry
        return not self.rejected.keys() & self.retry and all(0 <= index < rows for index in named)


@dataclass(frozen=True, slots=True)
class Dropped:
    """The destination accepted the body but for some rows, which it dropped and does not name. It must not get the body again.

    The sender makes dead letters of all rows of the body: the dropped ones are among them, and nothing is repeated.
    """

    count: int
    """Rows that were dropped: at least one, and not all of the body."""
    reason: str
    status: int | None = None

    def names_rows_of(self, rows: int) -> bool:
        """Return whether a body of `rows` rows can have lost so many, and not all."""
        return 0 < self.count < rows


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The destination took the body, and says later whether it stored the rows.

    The sender awaits `confirm` while it sends other bodies. After Sent the rows are accepted, after a Retry they are sent again.
    """

    confirm: Callable[[], Awaitable[Sent | Retry]]
    """Awaited once. Raises nothing but CancelledError."""
    seconds: float
    """`confirm` ends within this time."""
    status: int | None = None
    reason: str = "The destination has not confirmed yet that it stored the events."


@dataclass(frozen=True, slots=True)
class Split:
    """The body is too large: fewer rows are sent at a time."""

    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """The body was rejected, and the answer does not name the rows: one row is bad, or the configuration is."""

    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Paused:
    """An operator must fix something first; the reason says what. No row is to blame."""

    reason: str
    status: int | None = None


Outcome = Sent | Partial | Dropped | Unconfirmed | Retry | Split | Reject | Paused


def repeat_reason(outcome: Outcome, rows: int) -> str | None:
    """Return why events of a body of `rows` rows have to be sent again; None: they have not, or that is not known yet."""
    match outcome:
        case Retry(reason) | Paused(reason) | Split(reason) | Reject(reason):
            return reason
        case Partial() if outcome.retry or len(outcome.rejected) == rows:
            return outcome.reason
        case _:
            return None
