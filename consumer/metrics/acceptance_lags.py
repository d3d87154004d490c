"""How late the newest accepted event of each flow was."""

from prometheus_client import Gauge

VALID_MS = 60_000


class AcceptanceLags:
    """The lags of all flows of this process. A flow that has accepted nothing for a minute has none.

    Of several processes the metrics show the greatest value, so an old one would hide what the others accept now.
    """

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._accepted: dict[tuple[str, str], int] = {}

    def accepted(self, labels: tuple[str, str], newest: int, now: int) -> None:
        """A flow had an event accepted at `now` that was collected at `newest`, both ms UTC."""
        self._gauge.labels(*labels).set(max(0, now - newest) / 1000)
        self._accepted[labels] = now

    def end_old(self, now: int) -> None:
        """End the lag of each flow that had nothing accepted in the last minute before `now` (ms UTC)."""
        for labels in [each for each, at in self._accepted.items() if now - at > VALID_MS]:
            self._gauge.remove(*labels)
            del self._accepted[labels]
