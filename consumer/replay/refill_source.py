"""The source of a refill: the events that producers have published again for one replay."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from consumer.replay.range_reader import RangeReader, RangeReaderTiming
from consumer.replay.source import Chunk, SourceWaitsError
from consumer.replay.tally import Ending
from relay.avro.codec import BadBody, NotAvro, UnknownSchema
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import log_bounds, partitions_of, standalone_consumer
from relay.kafka.topics import partition_of
from relay.quantities import quantity
from relay.replays.job import ReplayJob
from relay.replays.refill import RefillProgress
from relay.timestamps import now_ms, to_iso_seconds

SILENT_MS = 300_000
"""After so long without a report, the sentence says that perhaps nobody reads the window."""
BEGIN_MS = 60_000
"""How long producers may take to begin; after that, the sentence says that perhaps none runs."""
MAX_NAMED = 3
"""Organizations that the reason names; the others are counted."""
_UNREADABLE = (NotAvro, BadBody, UnknownSchema)

ReadReports = Callable[[], Awaitable[Mapping[str, bytes]]]
"""Returns the reports of the producers, by organization. Raises an error of KAFKA_FAILURES."""


class RefillSource:
    """Yields the records that have the header of the job, up to the end of the log; events for other destinations are none.

    The reports are read before the end of the log. So what they say is published is before that end, or a transaction that is
    not complete holds it back, and the caller comes again.
    """

    def __init__(
        self,
        connection: Connection,
        job: ReplayJob,
        read_reports: ReadReports,
        timing: RangeReaderTiming | None = None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._connection = connection
        self._job = job
        self._read_reports = read_reports
        self._timing = timing
        self._clock_ms = clock_ms

    async def chunks(self, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Chunk]:
        """Yield what is there; raise SourceWaitsError until the producers have read the window of each organization."""
        reports = _decoded(await self._read_reports())
        ends, partitions = await self._ends()
        ranges = [replace(each, end=max(each.start, ends[each.tp])) for each in self._job.ranges]
        reader = RangeReader(self._connection, ranges, timing=self._timing, replay_id=self._job.id)
        async with aclosing(reader.chunks(starts)) as found:  # type: ignore[type-var]
            async for chunk in found:
                yield chunk
        if (text := waiting_text(self._job, reports, self._clock_ms())) is not None:
            raise SourceWaitsError(text)
        if _is_incomplete(reports, ends, partitions):
            raise SourceWaitsError("Kafka has not completed the transaction of the last events yet.")

    def letter_fields(self, record: Record) -> Mapping[str, str]:  # noqa: ARG002
        """Return no header of its own."""
        return {}

    def ending_of(self, record: Record) -> Ending | None:  # noqa: ARG002
        """Return None: the places of the job say it all."""
        return None

    async def confirm(self, delivered: Sequence[Record], dead_lettered: Sequence[Record]) -> None:
        """Take note of nothing: the places of the job say it all."""

    async def _ends(self) -> tuple[Mapping[TopicPartition, int], int]:
        """Return the end of each partition of the job, and how many partitions the topic has."""
        async with standalone_consumer(self._connection) as consumer:
            bounds = await log_bounds(consumer, [each.tp for each in self._job.ranges])
            numbers = await partitions_of(consumer, self._job.ranges[0].topic)
        return {tp: each.last_stable_offset for tp, each in bounds.items()}, len(numbers)


def _is_incomplete(
    reports: Mapping[str, RefillProgress], ends: Mapping[TopicPartition, int], partitions: int
) -> bool:
    """Return whether the partition of an organization ends before the last event that its producer has published."""
    by_number = {tp.partition: end for tp, end in ends.items()}
    return any(
        (each.end or 0) > by_number.get(partition_of(name, partitions), 0) for name, each in reports.items()
    )


def _decoded(values: Mapping[str, bytes]) -> Mapping[str, RefillProgress]:
    """Return the reports that can be read; one of a later release is waited for."""
    found = {}
    for name, value in values.items():
        try:
            found[name] = RefillProgress.from_value(value)
        except _UNREADABLE:
            continue
    return found


def waiting_text(job: ReplayJob, reports: Mapping[str, RefillProgress], now: int) -> str | None:
    """Return which organizations the producers still read, and what holds them up. None: they have read all."""
    left = [
        _organization_text(name, reports.get(name), now, job.wished_at)
        for name in job.organizations
        if name not in reports or not reports[name].ended
    ]
    if not left:
        return None
    more = f" {len(left) - MAX_NAMED} more organizations are not read yet." if len(left) > MAX_NAMED else ""
    return f"The producers read the window from the source. {' '.join(left[:MAX_NAMED])}{more}"


def _organization_text(name: str, report: RefillProgress | None, now: int, wished_at: int) -> str:
    """Return how far an organization is. `wished_at`: since when the producers may read it, in ms UTC."""
    remedy = f"Make sure that producers run and that `jira-relay organizations list` shows {name}, or cancel the replay."
    if report is None:
        return f"{name} is not begun yet." if now - wished_at < BEGIN_MS else f"{name} is not begun. {remedy}"
    if report.reason is not None:
        return report.reason
    read = "" if report.read_to is None else f", up to {to_iso_seconds(report.read_to)}"
    if now - report.at > SILENT_MS:
        return f"{name} has not moved since {to_iso_seconds(report.at)}. {remedy}"
    return f"{name}: {quantity(report.events, 'event')}{read}."
