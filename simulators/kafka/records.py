"""Record batches of format 2. Source: Kafka, "Message format"."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass

from simulators.kafka.wire import Reader

_CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


class UnsupportedCodecError(Exception):
    """The batch is compressed by a codec that this broker does not have."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record of a topic. `timestamp`: ms UTC."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Mapping[str, bytes | None]

    @property
    def uid(self) -> str:
        """Return the header `relay.uid`; empty without one."""
        return (self.headers.get("relay.uid") or b"").decode()


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A batch as its producer sent it. `producer_id` -1: it is not idempotent."""

    size: int
    producer_id: int
    epoch: int
    sequence: int
    records: list[StoredRecord]


def read_batch(content: bytes) -> RecordBatch:
    """Return the one batch of a partition. Raises ValueError for a broken one, and UnsupportedCodecError."""
    reader = Reader(content)
    reader.number("q")
    length = reader.number("i")
    reader.number("i")
    if length != len(content) - 12 or reader.number("b") != 2:
        raise ValueError("not one record batch of format 2")
    reader.number("I")
    attributes, _last = reader.number("h"), reader.number("i")
    first_timestamp, _max = reader.number("q"), reader.number("q")
    producer_id, epoch, sequence = reader.number("q"), reader.number("h"), reader.number("i")
    count = reader.number("i")
    inner = Reader(_decompressed(attributes & 7, reader.rest()))
    records = [_read_record(inner, first_timestamp) for _ in range(count)]
    if inner.rest():
        raise ValueError("more bytes than records")
    return RecordBatch(len(content), producer_id, epoch, sequence, records)


def _decompressed(codec: int, content: bytes) -> bytes:
    match _CODECS.get(codec):
        case "none":
            return content
        case "gzip":
            return gzip.decompress(content)
        case name:
            raise UnsupportedCodecError(name)


def _read_record(batch: Reader, first_timestamp: int) -> StoredRecord:
    reader = Reader(batch.take(batch.varint()))
    reader.number("b")
    timestamp = first_timestamp + reader.varint()
    reader.varint()
    key, value = reader.var_data(), reader.var_data()
    headers = {}
    for _ in range(reader.varint()):
        name = reader.var_data() or b""
        headers[name.decode()] = reader.var_data()
    return StoredRecord(key, value, timestamp, headers)
