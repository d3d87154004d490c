"""The plan of a replay: the ranges of offsets that hold its events, fixed when it is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumer.replay.archive_plan import ArchivePlan
from management.organizations.store import kafka_errors_as_relay_errors
from management.replay.archive import Window, begins_with, extended
from management.replay.request import ReplayRequest
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, partitions_of, stable_bounds, standalone_consumer
from relay.kafka.time_index import first_records, offsets_at
from relay.kafka.topics import Topics, partition_of
from relay.replays.job import ReplayRange

CREATED_MARGIN_MS = 3_600_000
"""Jira's clock may be ahead of the relay's by so much: an event is collected at most so long before its `created`."""

Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """The ranges of a replay, in order, none empty."""

    ranges: Sequence[ReplayRange]
    begins: Mapping[TopicPartition, int | None]
    """When the first event that Kafka or the archive has was collected (ms UTC), of each partition from which events of the window
    may have been deleted. None: there is none."""
    partition_counts: Mapping[str, int]
    """Partitions of each topic."""

    def ranges_of(self, organization: str) -> Sequence[ReplayRange]:
        """Return the ranges that may hold events of an organization."""
        numbers = {topic: partition_of(organization, count) for topic, count in self.partition_counts.items()}
        return [each for each in self.ranges if numbers[each.topic] == each.partition]

    @property
    def offsets(self) -> int:
        """How many offsets the ranges have: at most so many events are read."""
        return sum(each.end - each.start for each in self.ranges)


async def plan_ranges(
    connection: Connection, request: ReplayRequest, archive: ArchivePlan | None = None
) -> ReplayPlan:
    """Return the ranges that hold the events of the window, up to the present end of the log.

    `archive`: what an archive has before the log starts; None: Kafka alone is read. Raises RelayError.
    """
    topics = Topics(connection.kafka.topic_prefix)
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        async with standalone_consumer(connection) as consumer:
            numbers = {
                topic: await partitions_of(consumer, topic) for topic in (topics.events, topics.backfill)
            }
            partitions = [
                TopicPartition(topic, number)
                for topic, all_numbers in numbers.items()
                for number in wanted_partitions(request.keys, all_numbers)
            ]
            bounds = await stable_bounds(consumer, partitions)
            window = await _window(consumer, request, bounds)
            begins = await _begins(consumer, request.from_ms, bounds)
        if archive is not None:
            window = await extended(window, bounds, archive, _read_from(request), _read_to(request))
            begins = await begins_with(archive, begins, request.from_ms)
    ranges = [
        ReplayRange(tp.topic, tp.partition, window.starts[tp], window.ends[tp])
        for tp in partitions
        if window.starts[tp] < window.ends[tp]
    ]
    return ReplayPlan(ranges, begins, {topic: len(each) for topic, each in numbers.items()})


def wanted_partitions(organizations: Sequence[str], numbers: Sequence[int]) -> Sequence[int]:
    """Return the partitions that may hold events of these organizations; without a name: all."""
    if not organizations:
        return numbers
    return sorted({partition_of(each, len(numbers)) for each in organizations})


def _read_from(request: ReplayRequest) -> int | None:
    """Return the time of collection (ms UTC) from which on the events are read; None: from the first one."""
    if request.from_ms is None or request.by == "collected":
        return request.from_ms
    return request.from_ms - CREATED_MARGIN_MS


def _read_to(request: ReplayRequest) -> int | None:
    """Return the time of collection before which the events are read; None: to the end of the log.

    An event may be collected long after it was created, so a window of `created` has no such end.
    """
    return request.to_ms if request.by == "collected" else None


async def _window(
    consumer: Any, request: ReplayRequest, bounds: Mapping[TopicPartition, LogBounds]
) -> Window:
    """Return where each range begins and ends in Kafka. The times of collection ascend in a partition, so they are exact."""
    ends: Offsets = {tp: each.last_stable_offset for tp, each in bounds.items()}
    starts: Offsets = {tp: each.log_start_offset for tp, each in bounds.items()}
    if (from_ms := _read_from(request)) is not None:
        starts = await offsets_at(consumer, from_ms, ends)
    if (to_ms := _read_to(request)) is not None:
        ends = await offsets_at(consumer, to_ms, ends)
    return Window(starts, ends)


async def _begins(
    consumer: Any, from_ms: int | None, bounds: Mapping[TopicPartition, LogBounds]
) -> dict[TopicPartition, int | None]:
    shortened = {tp: each for tp, each in bounds.items() if each.log_start_offset > 0}
    starts = {tp: each.log_start_offset for tp, each in shortened.items()}
    ends = {tp: each.last_stable_offset for tp, each in shortened.items()}
    first = await first_records(consumer, starts, ends, lambda _record: True)
    begins = {tp: first[tp].timestamp if tp in first else None for tp in shortened}
    return {tp: at for tp, at in begins.items() if at is None or from_ms is None or at > from_ms}
