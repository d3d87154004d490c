import asyncio
from dataclasses import dataclass, field

REQUEST_SLOTS = 300
LOW_PRIORITY_SLOTS = 60


@dataclass(slots=True)
class SiteThrottle:
    """What all who ask one site share: one request at a time, and the rest it has asked for (monotonic seconds)."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    paused_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Until when (monotonic seconds) nothing is asked, unless it `ends_with_new_key`: with another key than this one."""

    until: float
    ends_with_new_key: bool
    key_fingerprint: bytes | None


@dataclass(frozen=True, slots=True)
class RequestSlots:
    """How many requests may be under way at a time, to all sites together; of those that can wait, fewer.

    Whoever waits for a slot waits here and not in the pool of connections, where waiting is taken for a fault of the site.
    """

    all: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REQUEST_SLOTS))
    low_priority: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOW_PRIORITY_SLOTS))
