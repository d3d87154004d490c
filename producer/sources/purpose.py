"""The purpose of a request to a source."""

from enum import StrEnum


class Purpose(StrEnum):
    """The purpose of a request. Each purpose has its own back-off in each organization, so history never holds up live polling."""

    LIVE = "live"
    REREAD = "re-read"
    BACKFILL = "backfill"
    GAP_CHECK = "gap"
    """After an outage, a request for the oldest record that the API keeps: records before it may be lost."""
    UNREAD_RANGES = "unread ranges"
    """Reads of ranges that the API failed to serve."""
    REFILL = "refill"
    """Reads of a window again, for one destination that lost its events."""

    @property
    def low_priority(self) -> bool:
        """Whether live requests go first."""
        return self is not Purpose.LIVE
