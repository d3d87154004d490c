from enum import StrEnum


class Walk(StrEnum):
    """The purpose of a request. Each walk of an organization has its own back-off, so history never holds up live polling."""

    LIVE = "live"
    REREAD = "re-read"
    BACKFILL = "backfill"
    GAP = "gap"
    """The look for the oldest record that the API keeps."""
    HOLES = "holes"
    """Reads of ranges that the API failed to serve."""

    @property
    def low_priority(self) -> bool:
        """Whether live requests go first."""
        return self is not Walk.LIVE
