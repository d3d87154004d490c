"""The times of an event from the first bytes of its message, without its schema."""

from collections.abc import Iterator

from consumer.decoding.avro_container import encode_varint
from relay.avro.codec import NotAvro, split_frame
from relay.kafka import Record
from relay.timestamps import is_instant

_MAX_SHIFT = 63
_LIVE = 0
"""Number of the symbol in the enum `mode` of schemas/audit_event.avsc."""


def live_created_ms(record: Record) -> int | None:
    """Return `created` of a live event, in ms UTC. None: it is of another mode, or cannot be read this way.

    `collected` must be the timestamp of the record, which proves that these bytes are those fields, also under the schema of
    another release.
    """
    found = _first_fields(record.key, record.value)
    if found is None:
        return None
    created, collected, mode = found
    return created if collected == record.timestamp and mode == _LIVE else None


def collected_ms(key: bytes | None, value: bytes | None) -> int | None:
    """Return `collected` of an event, in ms UTC, of a record whose timestamp is lost. None: it has no key, or does not begin as an event does."""
    found = _first_fields(key, value) if key else None
    return None if found is None or not is_instant(found[1]) else found[1]


def _first_fields(key: bytes | None, value: bytes | None) -> tuple[int, int, int] | None:
    """Return created, collected and mode. None: the value does not begin as an event of this key does.

    The first fields of an event are organization, id, created, collected and mode.
    """
    value, key = value or b"", key or b""
    try:
        start = split_frame(value)[1]
    except NotAvro:
        return None
    organization = encode_varint(len(key)) + key
    if not value.startswith(organization, start):
        return None
    try:
        numbers = _varints(value, start + len(organization))
        _, created, collected, mode = (next(numbers) for _ in range(4))
    except IndexError:
        return None
    return created, collected, mode


def _varints(data: bytes, position: int) -> Iterator[int]:
    """Yield Avro longs. Raises IndexError at the end of the data, and at a number of more than ten bytes."""
    while True:
        number, shift = 0, 0
        while True:
            if shift > _MAX_SHIFT:
                raise IndexError
            byte = data[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield (number >> 1) ^ -(number & 1)
