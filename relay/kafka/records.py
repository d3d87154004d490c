"""Records as they come out of a fetch: thousands in one sequence, with columns instead of a Python object each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Protocol, overload

from aiokafka.structs import TopicPartition


class ParsedRecord(Protocol):
    """A record as a parser returns it, without the place it comes from. `timestamp` is ms since 1970 UTC."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Record(ParsedRecord, Protocol):
    """A record of a topic."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...


@dataclass(frozen=True, slots=True)
class FetchedRecord:
    """One record of FetchedRecords."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class FetchedRecords(Sequence[Record]):
    """Records of one or more partitions. A record becomes a Python object when it is asked for by its index or iterated over.

    `parsed` are objects of aiokafka's compiled parser. The functions below read a column of them without a loop in Python.
    """

    __slots__ = ("_values", "parsed", "partitions")

    def __init__(
        self,
        parsed: Sequence[ParsedRecord],
        partitions: Sequence[TopicPartition],
        values: list[bytes | None] | None = None,
    ) -> None:
        """`partitions`: the partition of each record. `values`: the value of each; None: not read from `parsed` yet."""
        self.parsed = parsed
        self.partitions = partitions
        self._values = values

    @property
    def values(self) -> list[bytes | None]:
        """The value of each record. Several steps need this column, so it is kept."""
        if self._values is None:
            self._values = list(map(attrgetter("value"), self.parsed))
        return self._values

    def __len__(self) -> int:
        return len(self.parsed)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "FetchedRecords": ...
    def __getitem__(self, index: int | slice) -> "Record | FetchedRecords":
        if isinstance(index, slice):
            values = None if self._values is None else self._values[index]
            return FetchedRecords(self.parsed[index], self.partitions[index], values)
        return _record(self.parsed[index], self.partitions[index])

    def __iter__(self) -> Iterator[Record]:
        return map(_record, self.parsed, self.partitions)

    def select(self, indices: Iterable[int]) -> "FetchedRecords":
        """Return the records at these indices."""
        chosen = list(indices)
        return FetchedRecords(
            list(map(self.parsed.__getitem__, chosen)), list(map(self.partitions.__getitem__, chosen))
        )


def _record(parsed: ParsedRecord, place: TopicPartition) -> Record:
    return FetchedRecord(
        place.topic,
        place.partition,
        parsed.offset,
        parsed.timestamp,
        parsed.timestamp_type,
        parsed.key,
        parsed.value,
        tuple(parsed.headers),
    )


def select_records(records: Sequence[Record], indices: Iterable[int]) -> Sequence[Record]:
    """Return the records at these indices."""
    if isinstance(records, FetchedRecords):
        return records.select(indices)
    return [records[index] for index in indices]


def join_records(parts: Sequence[Sequence[Record]]) -> Sequence[Record]:
    """Return the records of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    fetched = [part for part in parts if isinstance(part, FetchedRecords)]
    if len(fetched) < len(parts):
        return [record for part in parts for record in part]
    return FetchedRecords(
        list(chain.from_iterable(part.parsed for part in fetched)),
        list(chain.from_iterable(part.partitions for part in fetched)),
        list(chain.from_iterable(part.values for part in fetched)),
    )


def _parsed(records: Sequence[Record]) -> Sequence[ParsedRecord]:
    return records.parsed if isinstance(records, FetchedRecords) else records


def offsets_of(records: Sequence[Record]) -> list[int]:
    return list(map(attrgetter("offset"), _parsed(records)))


def timestamps_of(records: Sequence[Record]) -> list[int]:
    """Return the timestamp of each record, in ms UTC."""
    return list(map(attrgetter("timestamp"), _parsed(records)))


def timestamp_types_of(records: Sequence[Record]) -> set[int]:
    """Return the timestamp types that occur: 0 is the time of the producer, 1 of the broker."""
    return set(map(attrgetter("timestamp_type"), _parsed(records)))


def keys_of(records: Sequence[Record]) -> list[bytes | None]:
    return list(map(attrgetter("key"), _parsed(records)))


def values_of(records: Sequence[Record]) -> list[bytes | None]:
    """Return the value of each record, in a list that must not change."""
    if isinstance(records, FetchedRecords):
        return records.values
    return [record.value for record in records]


def value_sizes_of(records: Sequence[Record]) -> list[int]:
    """Return the bytes of each value; 0 for a record without one."""
    values = values_of(records)
    try:
        return list(map(len, values))  # type: ignore[arg-type]
    except TypeError:
        return [len(value or b"") for value in values]


def have_headers(records: Sequence[Record]) -> bool:
    """Return whether any of the records has a header."""
    return any(map(attrgetter("headers"), _parsed(records)))


def headers_of(records: Sequence[Record]) -> list[Sequence[tuple[str, bytes]]]:
    """Return the headers of each record."""
    return list(map(attrgetter("headers"), _parsed(records)))
