"""Records as they come out of a fetch: thousands in one sequence, with columns instead of a Python object each."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, groupby
from operator import attrgetter, itemgetter
from typing import Any, Protocol, Self, overload

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


@dataclass(frozen=True, slots=True)
class _Part:
    """Records `start` to before `stop` of some that were parsed together, of one partition."""

    partition: TopicPartition
    parsed: Sequence[ParsedRecord]
    values: list[bytes | None]
    sizes: list[int]
    """Bytes of each value; 0 for a record without one. Kept: later, the values are in no cache of the core."""
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def between(self, start: int, stop: int) -> "_Part":
        """Return a part of this one. A small part of much is copied: it would keep all in memory."""
        start, stop = self.start + start, self.start + stop
        if 2 * (stop - start) >= len(self.parsed):
            return _Part(self.partition, self.parsed, self.values, self.sizes, start, stop)
        part = slice(start, stop)
        return _Part(self.partition, self.parsed[part], self.values[part], self.sizes[part], 0, stop - start)

    def select(self, indices: Iterable[int]) -> "_Part":
        chosen = [self.start + index for index in indices]
        return _Part(
            self.partition,
            list(map(self.parsed.__getitem__, chosen)),
            list(map(self.values.__getitem__, chosen)),
            list(map(self.sizes.__getitem__, chosen)),
            0,
            len(chosen),
        )

    def of(self, column: Sequence[Any]) -> Sequence[Any]:
        """Return the records' own part of a column."""
        return column if len(self) == len(column) else column[self.start : self.stop]

    def record(self, index: int) -> Record:
        parsed = self.parsed[self.start + index]
        return FetchedRecord(
            self.partition.topic,
            self.partition.partition,
            parsed.offset,
            parsed.timestamp,
            parsed.timestamp_type,
            parsed.key,
            parsed.value,
            tuple(parsed.headers),
        )


class FetchedRecords(Sequence[Record]):
    """Records of one or more partitions. A record becomes a Python object when it is asked for by its index or iterated over.

    They are parts of what was parsed together: to slice and to join thousands of records touches none of them.
    The functions below read a column of the objects of aiokafka's compiled parser without a loop in Python.
    """

    __slots__ = ("_stops", "_values", "parts")

    def __init__(self, parts: Iterable[_Part] = ()) -> None:
        self.parts = [part for part in parts if len(part)]
        self._stops = list(accumulate(map(len, self.parts)))
        self._values: list[bytes | None] | None = None

    @classmethod
    def of(cls, parsed: Sequence[ParsedRecord], partition: TopicPartition) -> Self:
        """Take parsed records of one partition."""
        values = list(map(attrgetter("value"), parsed))
        return cls([_Part(partition, parsed, values, _sizes(values), 0, len(parsed))])

    @classmethod
    def joined(cls, several: Iterable["FetchedRecords"]) -> Self:
        """Return the records of several in order."""
        return cls(part for each in several for part in each.parts)

    def __len__(self) -> int:
        return self._stops[-1] if self._stops else 0

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "FetchedRecords": ...
    def __getitem__(self, index: int | slice) -> "Record | FetchedRecords":
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return FetchedRecords(self._between(start, stop))
        at = range(len(self))[index]
        place = bisect_right(self._stops, at)
        part = self.parts[place]
        return part.record(len(part) - self._stops[place] + at)

    def _between(self, start: int, stop: int) -> Iterator[_Part]:
        before = 0
        for part, after in zip(self.parts, self._stops, strict=True):
            if start <= before and after <= stop:
                yield part
            elif max(start, before) < min(stop, after):
                yield part.between(max(start, before) - before, min(stop, after) - before)
            before = after

    def __iter__(self) -> Iterator[Record]:
        return (part.record(index) for part in self.parts for index in range(len(part)))

    @property
    def values(self) -> list[bytes | None]:
        """The value of each record. Several steps need this column, so it is kept."""
        if self._values is None:
            self._values = list(chain.from_iterable(part.of(part.values) for part in self.parts))
        return self._values

    @property
    def sizes(self) -> list[int]:
        """Bytes of each value; 0 for a record without one."""
        return list(chain.from_iterable(part.of(part.sizes) for part in self.parts))

    @property
    def parsed(self) -> Iterator[ParsedRecord]:
        return chain.from_iterable(part.of(part.parsed) for part in self.parts)

    def select(self, indices: Iterable[int]) -> "FetchedRecords":
        """Return the records at these indices."""
        places = ((bisect_right(self._stops, index), index) for index in indices)
        return FetchedRecords(self._selected(place, found) for place, found in groupby(places, itemgetter(0)))

    def _selected(self, place: int, found: Iterable[tuple[int, int]]) -> _Part:
        part = self.parts[place]
        start = self._stops[place] - len(part)
        return part.select(index - start for _, index in found)


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
    return FetchedRecords.joined(fetched)


def _parsed(records: Sequence[Record]) -> Iterable[ParsedRecord]:
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
    return records.values if isinstance(records, FetchedRecords) else [record.value for record in records]


def value_sizes_of(records: Sequence[Record]) -> list[int]:
    """Return the bytes of each value; 0 for a record without one."""
    return records.sizes if isinstance(records, FetchedRecords) else _sizes(values_of(records))


def _sizes(values: Sequence[bytes | None]) -> list[int]:
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
