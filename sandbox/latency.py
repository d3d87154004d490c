"""Latency of live records: from visible in Jira to accepted by a destination, by the clock of the sandbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.destinations.contract import DestinationPeer


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Latencies of `count` records in seconds: the median, and the one that 99 of 100 records do not exceed."""

    count: int
    median: float
    percentile_99: float


class LatencyRecorder:
    """Notes when each destination accepted a live record for the first time.

    `visible_at`: the instants (ms UTC) from which Jira shows its records, by organization and id.
    """

    def __init__(
        self, visible_at: Mapping[str, Mapping[int, int]], destinations: Mapping[str, DestinationPeer]
    ) -> None:
        self._visible_at = visible_at
        self._destinations = destinations
        self._rows_seen = dict.fromkeys(destinations, 0)
        self._seconds: dict[str, dict[tuple[str, int], float]] = {name: {} for name in destinations}

    def note_new_rows(self, now_ms: int) -> None:
        """Take the rows that came since the last call for accepted at `now_ms`. Rows of history are left out."""
        for name, peer in self._destinations.items():
            rows = peer.rows(history=False, start=self._rows_seen[name])
            self._rows_seen[name] += len(rows)
            for row in rows:
                visible = self._visible_at.get(row.organization, {}).get(row.record_id)
                if visible is not None:
                    record = (row.organization, row.record_id)
                    self._seconds[name].setdefault(record, max(0, now_ms - visible) / 1000)

    def summaries(self) -> dict[str, LatencySummary]:
        """Return the latencies of each destination that accepted a live record."""
        return {name: summarize(list(seconds.values())) for name, seconds in self._seconds.items() if seconds}


def summarize(seconds: Sequence[float]) -> LatencySummary:
    """Return the summary of one latency or more, by nearest rank."""
    ordered = sorted(seconds)
    count = len(ordered)
    return LatencySummary(count, ordered[(count - 1) // 2], ordered[(99 * count - 1) // 100])


def latency_lines(summaries: Mapping[str, LatencySummary]) -> list[str]:
    """Return a line of the report for each destination."""
    return [
        f"Latency from visible in Jira to accepted by {name}: median {one.median:.1f} s, 99 % {one.percentile_99:.1f} s,"
        f" of {one.count:,} live record{'s'[: one.count != 1]}. Faults count."
        for name, one in summaries.items()
    ]
