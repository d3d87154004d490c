"""What a destination answered to one request. Whoever sends must match all of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """Every row was accepted."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It will pass: send the same again. The rows may have been accepted all the same."""

    reason: str
    status: int | None = None
    after: float | None = None
    """Seconds that the destination asked us to wait, at least."""


@dataclass(frozen=True, slots=True)
class Split:
    """Too large: send fewer rows at a time."""

    reason: str
    status: int


@dataclass(frozen=True, slots=True)
class Reject:
    """At least one row is refused, or all are because the destination is set up wrong: the answer does not say."""

    reason: str
    status: int


@dataclass(frozen=True, slots=True)
class Paused:
    """Something must be put right first; the reason says what. No row is to blame."""

    reason: str
    status: int | None = None


Outcome = Sent | Retry | Split | Reject | Paused
