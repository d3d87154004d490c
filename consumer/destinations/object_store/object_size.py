"""How many rows an object has, by how long the store took for others."""

_QUICK_AT_FIRST, _QUICK_AT_MOST = 4, 64
"""Objects that must arrive quickly, one after another, before they are doubled: more after each time that it was too early."""


class ObjectSize:
    """Halves the objects while they do not arrive in time, and doubles them while they arrive quickly. Pure.

    A store that hangs for an hour leaves objects of one row, so they must grow within the backlog, not after it. A proxy that
    stops above a size must not be tried again and again.
    """

    def __init__(self, quick_seconds: float) -> None:
        """`quick_seconds`: an object that took no longer may be followed by one of twice the rows."""
        self._quick_seconds = quick_seconds
        self._needed = _QUICK_AT_FIRST
        self._quick = 0
        self._doubled = False
        self.most_rows: int | None = None
        """None: no object was too late yet, and one has as many rows as a body."""

    def record_late(self, rows_of_body: int) -> None:
        """Halve the objects: the same one would not arrive in time at the next try either."""
        if self._doubled:
            self._needed = min(2 * self._needed, _QUICK_AT_MOST)
        self._quick, self._doubled = 0, False
        self.most_rows = max(1, min(self.most_rows or rows_of_body, rows_of_body) // 2)

    def record_stored(self, rows: int, seconds: float) -> None:
        """Count an object. Only those of the full size do, so the size stays below twice the rows of a body."""
        if self.most_rows is None or rows < self.most_rows:
            return
        self._quick = self._quick + 1 if seconds <= self._quick_seconds else 0
        if self._quick >= self._needed:
            self._quick, self._doubled = 0, True
            self.most_rows *= 2
