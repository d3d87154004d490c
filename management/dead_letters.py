"""The dead letters on their topic: the newest ones, and one with its original bytes.

A producer writes those of records that it could not read or publish, a consumer those of events that a destination rejected.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError, validate_name
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, partitions_of, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics, partition_of

MAX_CONTENT_BYTES = 256 * 1024 * 1024

_MIN_STEP = 200
_MAX_INTERLEAVED = 500
"""Other records between two parts of one dead letter, at most: consumers write to the same partition."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter without its content. `at`: ms UTC. `headers`: without the prefix `relay.`, such as reason and service."""

    partition: int
    offset: int
    at: int
    organization: str | None
    headers: Mapping[str, str]
    size: int

    @property
    def address(self) -> str:
        return f"{self.partition}/{self.offset}"

    @property
    def part(self) -> tuple[int, int]:
        """Number of this part and count of the parts; (1, 1) without a valid header. Only a producer's has several parts."""
        number, _, count = self.headers.get("part", "").partition("/")
        if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return int(number), int(count)
        return 1, 1


@dataclass(frozen=True, slots=True)
class DeadLetterContent:
    """A dead letter with its original bytes. `remark`: why they are incomplete; None: they are complete."""

    dead_letter: DeadLetter
    content: bytes
    remark: str | None = None


async def read_newest(
    connection: Connection, limit: int, organization: str | None = None
) -> list[DeadLetter]:
    """Return the newest dead letters, newest first; of one with several parts, the first part. Raises RelayError."""
    topic = Topics(connection.kafka.topic_prefix).dead_letters
    wanted = None if organization is None else validate_name(organization)
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        async with standalone_consumer(connection) as consumer:
            numbers = await partitions_of(consumer, topic)
            if wanted is not None:
                numbers = [partition_of(wanted, len(numbers))]
            search = _BackwardSearch(limit, wanted)
            bounds = await stable_bounds(consumer, [TopicPartition(topic, number) for number in numbers])
            await search.run(consumer, bounds)
    dead_letters = [dead_letter for found in search.found.values() for dead_letter in found]
    return sorted(dead_letters, key=lambda each: (each.at, each.offset), reverse=True)[:limit]


class _BackwardSearch:
    """Reads backwards from the end of each partition, in growing steps, until it has `limit` dead letters of it."""

    def __init__(self, limit: int, organization: str | None) -> None:
        self.found: dict[TopicPartition, list[DeadLetter]] = {}
        self._limit = limit
        self._organization = organization

    async def run(self, consumer: Any, bounds: Mapping[TopicPartition, LogBounds]) -> None:
        ends = {tp: span.last_stable_offset for tp, span in bounds.items()}
        self.found = {tp: [] for tp in bounds}
        step = max(_MIN_STEP, 2 * self._limit)
        while pending := {tp for tp, end in ends.items() if self._needs_more(tp, end, bounds[tp])}:
            starts = {tp: max(bounds[tp].log_start_offset, ends[tp] - step) for tp in pending}
            await read_to_end(consumer, starts, {tp: ends[tp] for tp in pending}, self._collect)
            ends |= starts
            step *= 2

    def _needs_more(self, tp: TopicPartition, end: int, bounds: LogBounds) -> bool:
        return end > bounds.log_start_offset and len(self.found[tp]) < self._limit

    def _collect(self, record: Record) -> None:
        dead_letter = _parse_record(record)
        if dead_letter.part[0] == 1 and self._organization in {None, dead_letter.organization}:
            self.found[TopicPartition(record.topic, record.partition)].append(dead_letter)


def parse_address(address: str) -> tuple[int, int]:
    """Parse PARTITION/OFFSET. Raises InputError."""
    partition, _, offset = address.partition("/")
    if not (partition.isdecimal() and offset.isdecimal() and len(address) <= 30):
        raise InputError(
            "The address of a dead letter must be PARTITION/OFFSET, such as 3/17; `jira-relay dead-letters list` shows them."
        )
    return int(partition), int(offset)


async def read_dead_letter(connection: Connection, partition: int, offset: int) -> DeadLetterContent:
    """Return the whole dead letter that has a part at this offset. Raises RelayError."""
    topic = Topics(connection.kafka.topic_prefix).dead_letters
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        async with standalone_consumer(connection) as consumer:
            if partition not in await partitions_of(consumer, topic):
                raise _not_found_error(partition, offset)
            tp = TopicPartition(topic, partition)
            bounds = (await stable_bounds(consumer, [tp]))[tp]
            found = await _read_records(consumer, tp, bounds, offset, offset + 1)
            if not found:
                raise _not_found_error(partition, offset)
            number, count = _parse_record(found[0]).part
            if count > 1:
                first = offset - (number - 1) - _MAX_INTERLEAVED
                last = offset + (count - number) + _MAX_INTERLEAVED
                found = _collect_parts(await _read_records(consumer, tp, bounds, first, last + 1), offset)
    return _assemble(found, count)


async def _read_records(
    consumer: Any, tp: TopicPartition, bounds: LogBounds, first: int, end: int
) -> list[Record]:
    start, end = max(first, bounds.log_start_offset), min(end, bounds.last_stable_offset)
    records: list[Record] = []
    if start < end:
        await read_to_end(consumer, {tp: start}, {tp: end}, records.append)
    return records


def _collect_parts(records: Sequence[Record], offset: int) -> list[Record]:
    """Return the parts of the dead letter at `offset`, in order. A missing part ends the search in its direction.

    Two dead letters of one moment may share the key, so of each number the nearest part is taken.
    """
    anchor = next(record for record in records if record.offset == offset)
    number, count = _parse_record(anchor).part
    siblings = [record for record in records if _parts_key(record) == _parts_key(anchor)]
    parts = {number: anchor}
    for wanted in range(number - 1, 0, -1):
        before = [
            each
            for each in siblings
            if each.offset < parts[wanted + 1].offset and _part_number(each) == wanted
        ]
        if not before:
            break
        parts[wanted] = before[-1]
    for wanted in range(number + 1, count + 1):
        after = [
            each
            for each in siblings
            if each.offset > parts[wanted - 1].offset and _part_number(each) == wanted
        ]
        if not after:
            break
        parts[wanted] = after[0]
    return [parts[each] for each in sorted(parts)]


def _part_number(record: Record) -> int:
    return _parse_record(record).part[0]


def _parts_key(record: Record) -> tuple[Any, ...]:
    """Return a key that all parts of one dead letter share."""
    dead_letter = _parse_record(record)
    return (
        dead_letter.organization,
        dead_letter.part[1],
        dead_letter.headers.get("at"),
        dead_letter.headers.get("reason"),
    )


def _assemble(records: Sequence[Record], count: int) -> DeadLetterContent:
    dead_letter = _parse_record(records[0])
    content = b"".join(record.value or b"" for record in records)
    if len(records) < count:
        return DeadLetterContent(
            dead_letter, content, f"Only {len(records)} of its {count} parts were found."
        )
    if dead_letter.headers.get("encoding") != "gzip":
        return DeadLetterContent(dead_letter, content)
    decompressor = zlib.decompressobj(wbits=31)
    try:
        decompressed = decompressor.decompress(content, MAX_CONTENT_BYTES)
    except zlib.error as error:
        return DeadLetterContent(
            dead_letter, content, f"Its header says gzip, but the content cannot be decompressed: {error}."
        )
    return DeadLetterContent(
        dead_letter,
        decompressed,
        None if decompressor.eof else "The content is incomplete: the rest cannot be decompressed.",
    )


def _parse_record(record: Record) -> DeadLetter:
    headers = {
        name.removeprefix("relay."): value.decode("utf-8", "replace")
        for name, value in record.headers
        if name.startswith("relay.")
    }
    organization = None if record.key is None else record.key.decode("utf-8", "replace")
    size = len(record.value or b"")
    return DeadLetter(record.partition, record.offset, record.timestamp, organization, headers, size)


def _not_found_error(partition: int, offset: int) -> RelayError:
    return RelayError(
        f"Dead letter {partition}/{offset} does not exist; `jira-relay dead-letters list` shows those that do."
    )
