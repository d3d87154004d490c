"""Request bodies of a job: rows of its records, collected as the limits of the destination ask for. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from consumer.delivery.batch import RequestBatch, Rows, RowTooLargeError
from consumer.delivery.routes import by_route
from consumer.destinations.contract import Limits
from relay.kafka import TopicPartition

_Key = tuple[TopicPartition | None, str | None]


@dataclass(frozen=True, slots=True)
class OversizedRow:
    """A row that fits into no body."""

    rows: Rows
    reason: str


class BodyBuilder:
    """Collects rows by partition, where a body holds one partition only, and by route. A body closes by size alone."""

    def __init__(self, limits: Limits, max_rows: int | None = None) -> None:
        """`max_rows`: of one body, beside the limits of the destination; None: no more."""
        own = limits.format.max_rows
        rows = max_rows if own is None else own if max_rows is None else min(own, max_rows)
        self._format = replace(limits.format, max_rows=rows)
        self._limits = limits
        self._batches: dict[_Key, RequestBatch] = {}

    def add(self, rows: Rows) -> Iterator[Rows | OversizedRow]:
        """Add rows, and yield the bodies that they fill, and the rows that fit into none."""
        if self._limits.single_partition:
            yield from self._close_others(rows)
        for part in rows.by_partition() if self._limits.single_partition else (rows,):
            for route, routed in by_route(part, self._limits.routes):
                partition = part.tracked.sequences[0].partition if self._limits.single_partition else None
                yield from self._fill((partition, route), routed)
        yield from self._close_largest()

    def flush(self) -> Iterator[Rows]:
        """Yield what is collected, the oldest first."""
        for key in list(self._batches):
            yield self._batches.pop(key).take()

    def _fill(self, key: _Key, rows: Rows) -> Iterator[Rows | OversizedRow]:
        while len(rows):
            batch = self._batches.setdefault(key, RequestBatch(self._format, 0.0))
            try:
                rows = rows[batch.try_add(rows, 0.0) :]
            except RowTooLargeError as error:
                del self._batches[key]  # it is empty
                yield OversizedRow(rows[:1], str(error))
                rows = rows[1:]
                continue
            if len(rows):
                yield self._batches.pop(key).take()

    def _close_others(self, rows: Rows) -> Iterator[Rows]:
        """Close the bodies of partitions that are read no more: partitions are read one after the other."""
        partitions = rows.tracked.partitions
        for key in [each for each in self._batches if partitions and each[0] not in partitions]:
            yield self._batches.pop(key).take()

    def _close_largest(self) -> Iterator[Rows]:
        """Close bodies until all of them together are no larger than one flow may have in flight: there may be a thousand routes."""
        most = max(self._limits.in_flight_bytes, self._limits.format.max_bytes)
        while len(self._batches) > 1 and sum(batch.size for batch in self._batches.values()) > most:
            largest = max(self._batches, key=lambda key: self._batches[key].size)
            yield self._batches.pop(largest).take()
