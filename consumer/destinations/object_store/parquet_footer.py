"""Where the columns of a Parquet object are, by the footer at its end.

A reader that wants two columns of many then reads a small part of the object.
Source: apache/parquet-format, parquet.thrift and README (the footer is Thrift in its compact protocol).
"""

import io
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_LENGTH_BYTES, _MAGIC = 4, b"PAR1"
END_BYTES = _LENGTH_BYTES + len(_MAGIC)
_ROW_GROUPS, _COLUMNS, _META, _PATH, _SIZE, _DATA, _DICTIONARY = 4, 1, 3, 3, 7, 9, 11
"""Field ids of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData."""
_MAX_DEPTH = 16


def footer_bytes(end: bytes) -> int:
    """Return the size of the footer, by the last `END_BYTES` of an object. Raises ValueError where it is no Parquet."""
    if len(end) != END_BYTES or not end.endswith(_MAGIC):
        raise ValueError("the object does not end as Parquet does")
    return int.from_bytes(end[:_LENGTH_BYTES], "little") + END_BYTES


def column_ranges(footer: bytes, names: set[str]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of the columns with these names, and of those within them. Raises ValueError for a corrupt footer.

    `footer`: as long as `footer_bytes` says.
    """
    for group in _member(CompactThrift(footer).struct(), _ROW_GROUPS, list):
        for chunk in _member(group, _COLUMNS, list):
            column = _member(chunk, _META, dict)
            path = _member(column, _PATH, list)
            if path[:1] in [[name.encode()] for name in names]:  # a corrupt path may hold anything
                start = _member(column, _DATA, int)
                if column.get(_DICTIONARY):
                    start = min(start, _member(column, _DICTIONARY, int))
                yield start, start + _member(column, _SIZE, int)


def _member(struct: Any, number: int, kind: type[T]) -> T:
    """Return the field of a structure. Raises ValueError where it is absent, or of another type."""
    value = struct.get(number) if isinstance(struct, dict) else None
    if isinstance(value, kind):
        return value
    raise ValueError(f"field {number} is absent, or of another type")


class CompactThrift:
    """A structure in Thrift's compact protocol, as fields by their ids. Each fault of the bytes is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    @property
    def position(self) -> int:
        """Bytes that were read."""
        return self._data.tell()

    def struct(self, depth: int = 0) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            fields[number] = kind == 1 if kind in {1, 2} else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        match kind:
            case 1 | 2 | 3:  # a boolean of a list has a byte of its own
                return self._byte()
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                return self._take(8)
            case 8:
                return self._take(self._varint())
            case 9 | 10:
                head = self._byte()
                count = head >> 4 if head >> 4 < 15 else self._varint()
                return [self._value(head & 15, depth + 1) for _ in range(count)]
            case 12:
                return self.struct(depth + 1)
            case _:
                raise ValueError(f"unknown type {kind}")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = shift = 0
        while shift <= 63:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number is too long")

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, count: int) -> bytes:
        found = self._data.read(count)
        if len(found) != count:
            raise ValueError("the footer breaks off")
        return found
