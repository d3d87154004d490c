"""The types of Kafka's protocol. Source: "A guide to the Kafka protocol", protocol primitive types; all integers big-endian."""

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


class Reader:
    """Reads values from the front of a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next bytes. Raises ValueError if the message ends before."""
        if size < 0 or self._at + size > len(self._data):
            raise ValueError("the message ends within a value")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, layout: str) -> int:
        """Return an integer: b, h, i, I or q of `struct`."""
        found: int = struct.unpack(f">{layout}", self.take(struct.calcsize(f">{layout}")))[0]
        return found

    def varint(self) -> int:
        """Return a zigzag-encoded integer of variable length."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7

    def text(self) -> str | None:
        """Return a string; None for a null one."""
        size = self.number("h")
        return None if size < 0 else self.take(size).decode()

    def data(self) -> bytes | None:
        """Return bytes with a length of four bytes; None for null."""
        size = self.number("i")
        return None if size < 0 else self.take(size)

    def var_data(self) -> bytes | None:
        """Return bytes with a length of variable length; None for null."""
        size = self.varint()
        return None if size < 0 else self.take(size)

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data) - self._at)

    def list(self, item: Callable[[], T]) -> list[T] | None:
        """Return an array; None for a null one."""
        count = self.number("i")
        return None if count < 0 else [item() for _ in range(count)]


def number(layout: str, *values: int) -> bytes:
    return struct.pack(f">{layout}", *values)


def text(value: str | None) -> bytes:
    if value is None:
        return number("h", -1)
    encoded = value.encode()
    return number("h", len(encoded)) + encoded


def data(value: bytes) -> bytes:
    return number("i", len(value)) + value


def array(items: Iterable[bytes]) -> bytes:
    listed = list(items)
    return number("i", len(listed)) + b"".join(listed)
