"""How much one transaction takes, and how much it took."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransactionLimits:
    """The most that one transaction takes; bytes of encoded events, or of raw dead letters."""

    max_events: int = 1_000
    max_dead_letters: int = 100
    max_bytes: int = 4_000_000


@dataclass(frozen=True, slots=True)
class TransactionSize:
    """The content of one transaction; bytes of encoded events and raw dead letters."""

    events: int
    dead_letters: int
    bytes: int
