import asyncio
from dataclasses import dataclass, field

LINES = 300
PATIENT_LINES = 60


@dataclass(slots=True)
class Gate:
    """What all who ask one site share: one request at a time, and the rest it has asked for (monotonic seconds)."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    rest_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Hold:
    """Until when (monotonic seconds) nothing is asked, unless it `ends_with_key`: with another key than this one."""

    until: float
    ends_with_key: bool
    key: bytes | None


@dataclass(frozen=True, slots=True)
class Lines:
    """How many requests may be under way at a time, to all sites together; of those that can wait, fewer.

    Whoever waits for a line waits here and not in the pool of connections, where waiting is taken for a fault of the site.
    """

    all: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LINES))
    patient: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PATIENT_LINES))
